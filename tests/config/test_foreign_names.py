"""People who come from another program are told our name for each setting of theirs."""

import re

import pytest

from nielsgpt.config.foreign_names import COUNTERPARTS, IN_SECTION, INSTEAD, OURS
from nielsgpt.config.load import leaves, load
from nielsgpt.errors import SettingsError

P = "training.pretrain"
# The options of each program's training script, in its own words.
NANOGPT = {
    "out_dir": "name", "eval_interval": f"{P}.eval_every", "log_interval": f"{P}.log_every",
    "eval_iters": f"{P}.eval_batches", "always_save_checkpoint": f"{P}.checkpoint_every",
    "wandb_log": f"{P}.trackers", "wandb_run_name": "name", "dataset": "data.mix_pretrain",
    "gradient_accumulation_steps": f"{P}.micro_batch_size", "block_size": "model.context_length",
    "bias": "model.variant", "max_iters": f"{P}.max_steps", "decay_lr": f"{P}.schedule",
    "warmup_iters": f"{P}.warmup_steps", "lr_decay_iters": f"{P}.max_steps",
    "min_lr": f"{P}.min_learning_rate", "dtype": "device.precision", "backend": "tokenizer.kind",
}  # fmt: skip
NANOCHAT = {
    "run": "name", "depth": "model.n_layer", "aspect_ratio": "model.n_embd",
    "head_dim": "model.n_head", "max_seq_len": "model.context_length",
    "num_iterations": f"{P}.max_steps", "device_batch_size": f"{P}.micro_batch_size",
    "total_batch_size": f"{P}.batch_size", "embedding_lr": f"{P}.learning_rate",
    "unembedding_lr": f"{P}.learning_rate", "matrix_lr": f"{P}.muon_learning_rate",
    "adam_beta1": f"{P}.beta1", "adam_beta2": f"{P}.beta2", "warmup_ratio": f"{P}.warmup_steps",
    "warmdown_ratio": f"{P}.cooldown_fraction", "final_lr_frac": f"{P}.min_learning_rate",
    "eval_tokens": f"{P}.eval_batches", "save_every": f"{P}.checkpoint_every",
    "model_tag": "name", "target_param_data_ratio": f"{P}.max_steps",
}  # fmt: skip
LITGPT = {
    "global_batch_size": f"{P}.batch_size", "lr_warmup_steps": f"{P}.warmup_steps",
    "max_seq_length": "model.context_length", "tie_embeddings": "model.tied",
    "max_norm": f"{P}.grad_clip", "save_interval": f"{P}.checkpoint_every",
    "padded_vocab_size": "tokenizer.vocab_size", "intermediate_size": "model.d_ff",
    "rope_base": "model.rope_theta", "norm_class_name": "model.variant",
    "initial_checkpoint_dir": f"{P}.init_from", "epochs": f"{P}.max_steps",
}  # fmt: skip
TRANSFORMERS = {
    "output_dir": "name", "num_train_epochs": f"{P}.max_steps",
    "per_device_train_batch_size": f"{P}.micro_batch_size", "logging_steps": f"{P}.log_every",
    "lr_scheduler_type": f"{P}.schedule", "max_grad_norm": f"{P}.grad_clip",
    "adam_epsilon": f"{P}.eps", "label_smoothing_factor": f"{P}.label_smoothing",
    "save_steps": f"{P}.checkpoint_every", "save_total_limit": f"{P}.keep_checkpoints",
    "save_strategy": f"{P}.keep_checkpoints", "eval_strategy": f"{P}.eval_every",
    "metric_for_best_model": f"{P}.best_metric", "report_to": f"{P}.trackers",
    "bf16": "device.precision", "fp16": "device.precision", "torch_compile": "device.compile",
    "gradient_checkpointing": f"{P}.activation_checkpointing", "optim": f"{P}.optimizer",
    "hidden_size": "model.n_embd", "num_hidden_layers": "model.n_layer",
    "num_attention_heads": "model.n_head", "max_position_embeddings": "model.context_length",
    "tie_word_embeddings": "model.tied", "attn_implementation": "model.attention",
    "dataloader_num_workers": "data.workers",
}  # fmt: skip
DOCUMENTS = {
    "V": "tokenizer.vocab_size", "T": "model.context_length", "C": "model.n_embd",
    "L": "model.n_layer", "H": "model.n_head", "B": f"{P}.batch_size",
    "micro_B": f"{P}.micro_batch_size", "accum_steps": f"{P}.micro_batch_size",
    "base_lr": f"{P}.learning_rate", "total_steps": f"{P}.max_steps", "amp": "device.precision",
    "eval_steps": f"{P}.eval_batches", "ckpt_every": f"{P}.checkpoint_every",
    "p_train": "data.mix_pretrain", "amp_dtype": "device.precision",
    "streams_cache_dir": "data.cache_dir", "required_sources": "data.optional",
    "model_type": "model.variant", "lr": f"{P}.learning_rate", "cosine_lr": f"{P}.schedule",
    "tie_weights": "model.tied", "auto_tie_weights": "model.tied", "ema": f"{P}.ema_decay",
    "grad_accum_steps": f"{P}.micro_batch_size", "auto_microbatch": f"{P}.micro_batch_size",
    "sanitize_chars": "data.cleaning.sanitize", "add_bos_eos": "data.document_tokens",
    "split_seed": "seed", "random_split": "data.val_fraction", "ckpt_dir": "name",
    "text_path": "data.text.path", "no_strict_init": f"{P}.init_strict",
    "d_model": "model.n_embd", "num_layers": "model.n_layer", "num_heads": "model.n_head",
    "flash_attention": "model.attention", "total_tokens": f"{P}.max_steps",
    "lr_max": f"{P}.learning_rate", "lr_min": f"{P}.min_learning_rate",
    "request_delay": "data.ancients.delay_seconds", "with_ancients": "data.mix_pretrain",
    "log_to_wandb": f"{P}.trackers", "log_csv": "training.report", "plot_dir": "training.report",
    "checkpoint_path": "name",
}  # fmt: skip
LLAMA_CPP = {
    "num_ctx": "model.context_length", "num_predict": "generation.max_new_tokens",
    "temp": "generation.temperature", "repeat_penalty": "generation.repetition_penalty",
    "repeat_last_n": "generation.repetition_window",
}  # fmt: skip
PROGRAMS = (NANOGPT, NANOCHAT, LITGPT, TRANSFORMERS, DOCUMENTS, LLAMA_CPP)
SECTIONS = ("", "model.", "training.pretrain.", "data.", "device.")


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_name_of_another_program_is_answered_with_ours(program: dict[str, str]) -> None:
    for theirs, ours in program.items():
        for section in SECTIONS:
            wrong = f"{section}{theirs}"
            meant = re.escape(f"unknown key {wrong} (did you mean {ours}?)")
            with pytest.raises(SettingsError, match=meant):
                load(None, [f"{wrong}=1"])


def test_the_answer_is_in_the_phase_of_the_question() -> None:
    with pytest.raises(SettingsError, match=r"did you mean training\.sft\.learning_rate\?"):
        load(None, ["training.sft.lr=1"])


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("tokenizer.model_type", "tokenizer.algorithm"),
        ("generation.max_tokens", "generation.max_new_tokens"),
        ("training.pretrain.max_tokens", "training.pretrain.max_steps"),
    ],
)
def test_a_word_of_two_meanings_is_answered_by_its_section(wrong: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"did you mean {meant}?")):
        load(None, [f"{wrong}=1"])


@pytest.mark.parametrize("word", INSTEAD)
def test_resuming_needs_no_setting(word: str) -> None:
    with pytest.raises(SettingsError, match="rerun the same command and it resumes"):
        load(None, [f"training.pretrain.{word}=1"])


def test_every_answer_is_a_setting_and_no_question_is_one() -> None:
    known = {name for name, _ in leaves()}
    for ours in (*OURS, *IN_SECTION.values()):
        assert ours.replace(".phase.", ".pretrain.") in known, ours
    assert not set(COUNTERPARTS) & known
    words = [word for words in OURS.values() for word in words.split()]
    assert len(words) == len(set(words)), "one word, two answers"


@pytest.mark.parametrize("word", ["zzz", "gpu_count", "lora_rank", "use_kan"])
def test_what_resembles_nothing_is_answered_with_the_list(word: str) -> None:
    with pytest.raises(SettingsError, match=r"\('nielsgpt config' lists all\)"):
        load(None, [f"training.pretrain.{word}=1"])
