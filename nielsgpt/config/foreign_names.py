"""Other programs' names for our settings: nanoGPT, nanochat, LitGPT, Transformers, llama.cpp and
the five founding documents. The error for an unknown key suggests ours.
"""

# Ours on the left. `phase` stands for pretrain or sft.
OURS = {
    "name": "run run_name model_tag project wandb_project wandb_run_name out_dir output_dir "
    "ckpt_dir checkpoint_dir checkpoint_path save_dir",
    "seed": "random_seed random_state data_seed split_seed",
    "tokenizer.kind": "backend tokenizer_type tokenizer_kind mode level",
    "tokenizer.vocab_size": "V n_vocab padded_vocab_size vocabulary_size",
    "tokenizer.input_globs": "input_glob",
    "data.mix_pretrain": "p_train mixture dataset_mix with_ancients datasets dataset "
    "enabled_sources",
    "data.optional": "allow_missing_sources required_sources",
    "data.val_fraction": "val_split val_ratio val_size validation_split val_split_fraction "
    "test_size split_ratio random_split",
    "data.text.path": "text_path text_dir input_file train_file data_path data_dir all_txt_in_dir",
    "data.cache_dir": "streams_cache_dir train_tokens_path",
    "data.cleaning.sanitize": "sanitize_chars",
    "data.document_tokens": "add_bos_eos add_bos add_eos add_bos_token add_eos_token",
    "data.ancients.delay_seconds": "request_delay",
    "data.shard_bytes": "shard_size max_shard_size",
    "data.workers": "num_workers num_proc dataset_num_proc dataloader_num_workers",
    "model.variant": "model_type arch architecture bias norm_type mlp_type norm_class_name "
    "mlp_class_name use_rmsnorm",
    "model.n_layer": "L depth num_layers num_hidden_layers n_layers layers",
    "model.n_head": "H num_heads n_heads num_attention_heads heads head_dim head_size",
    "model.n_embd": "C d_model hidden_size n_embed embed_dim embedding_size hidden_dim model_dim "
    "dim width aspect_ratio",
    "model.context_length": "T block_size max_seq_len max_seq_length sequence_len sequence_length "
    "seq_len n_ctx num_ctx ctx_len context_size max_position_embeddings n_positions",
    "model.d_ff": "intermediate_size ffn_dim ffn_hidden_size mlp_dim n_inner dim_feedforward",
    "model.dropout": "attn_pdrop resid_pdrop embd_pdrop attention_dropout hidden_dropout_prob "
    "dropout_rate",
    "model.rope_theta": "rope_base",
    "model.tied": "tie_weights auto_tie_weights tie_word_embeddings tie_embeddings weight_tying",
    "model.attention": "flash flash_attention use_flash_attention attn_implementation sdpa",
    "training.phase.max_steps": "max_iters num_iterations num_train_steps max_train_steps "
    "train_steps num_steps n_steps total_steps total_tokens num_train_epochs num_epochs epochs "
    "max_epochs lr_decay_iters iters target_param_data_ratio",
    "training.phase.minutes": "hours max_time time_budget",
    "training.phase.init_from": "pretrained pretrained_checkpoint model_name_or_path "
    "initial_checkpoint_dir",
    "training.phase.init_strict": "strict strict_init no_strict_init",
    "training.phase.batch_size": "B total_batch_size global_batch_size effective_batch_size "
    "train_batch_size",
    "training.phase.micro_batch_size": "micro_B device_batch_size per_device_train_batch_size "
    "grad_accum grad_accum_steps gradient_accumulation_steps gradient_accumulation_iters "
    "accumulate_grad_batches accum_steps auto_microbatch auto_find_batch_size",
    "training.phase.optimizer": "optim optimizer_name optimizer_type",
    "training.phase.learning_rate": "lr base_lr max_lr lr_max peak_lr embedding_lr unembedding_lr",
    "training.phase.muon_learning_rate": "matrix_lr muon_lr",
    "training.phase.min_learning_rate": "min_lr lr_min final_lr_frac min_lr_rate",
    "training.phase.schedule": "lr_scheduler_type lr_scheduler lr_schedule scheduler decay_lr "
    "cosine_lr lr_decay",
    "training.phase.warmup_steps": "warmup warmup_iters lr_warmup_steps lr_warmup_iters "
    "warmup_ratio",
    "training.phase.cooldown_fraction": "warmdown_ratio warmdown_iters cooldown_frac",
    "training.phase.weight_decay": "wd",
    "training.phase.beta1": "betas adam_beta1",
    "training.phase.beta2": "adam_beta2",
    "training.phase.eps": "epsilon adam_eps adam_epsilon",
    "training.phase.grad_clip": "max_grad_norm max_norm gradient_clip gradient_clip_val "
    "clip_grad_norm clip_grad grad_norm_clip",
    "training.phase.label_smoothing": "label_smoothing_factor",
    "training.phase.ema_decay": "ema use_ema ema_beta",
    "training.phase.early_stopping_patience": "patience early_stopping",
    "training.phase.early_stopping_min_delta": "min_delta early_stopping_threshold",
    "training.phase.activation_checkpointing": "gradient_checkpointing grad_checkpointing "
    "activation_checkpoint use_checkpointing",
    "training.phase.eval_every": "eval_interval val_interval eval_freq eval_strategy "
    "evaluation_strategy val_check_interval",
    "training.phase.eval_batches": "eval_iters eval_steps eval_tokens max_eval_batches",
    "training.phase.log_every": "log_interval logging_steps log_every_n_steps",
    "training.phase.checkpoint_every": "ckpt_every save_every save_steps save_interval "
    "ckpt_interval always_save_checkpoint",
    "training.phase.keep_checkpoints": "save_total_limit save_strategy",
    "training.phase.trackers": "report_to wandb wandb_log log_to_wandb use_wandb tensorboard "
    "logger_name",
    "training.phase.best_metric": "metric_for_best_model val_source",
    "training.phase.sample_prompts": "sample_prompt start",
    "training.report": "plot_dir log_csv",
    "generation.max_new_tokens": "num_predict n_predict max_length max_gen_len",
    "generation.temperature": "temp",
    "generation.top_k": "topk",
    "generation.top_p": "topp nucleus",
    "generation.repetition_penalty": "repeat_penalty",
    "generation.repetition_window": "repeat_last_n",
    "generation.stop_strings": "stop stop_sequences stop_words",
    "device.device": "accelerator device_type device_map",
    "device.precision": "dtype torch_dtype amp amp_dtype bf16 fp16 mixed_precision",
    "device.compile": "torch_compile use_compile",
    "device.threads": "num_threads",
    "device.parallel": "strategy ddp fsdp",
    "device.weights": "quantize quantization load_in_8bit load_in_4bit",
}
# The same word, where it means something else in one section.
IN_SECTION = {
    "tokenizer.model_type": "tokenizer.algorithm",
    "generation.max_tokens": "generation.max_new_tokens",
    "training.max_tokens": "training.phase.max_steps",
}
# What needs no setting, and what to do instead.
INSTEAD = dict.fromkeys(
    ("resume", "resume_from", "resume_from_checkpoint", "resume_from_step"),
    "rerun the same command and it resumes",
)
COUNTERPARTS = {theirs: ours for ours, words in OURS.items() for theirs in words.split()}


def find_counterpart(name: str) -> str | None:
    """Our setting for another program's name; in the phase whose section the name is in."""
    section, _, word = name.rpartition(".")
    found = IN_SECTION.get(f"{section.partition('.')[0]}.{word}") or COUNTERPARTS.get(word)
    phase = "sft" if section.endswith("sft") else "pretrain"
    return found and found.replace(".phase.", f".{phase}.")
