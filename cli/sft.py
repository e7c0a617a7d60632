"""nielsgpt sft."""

from cli.training import training_command

command = training_command("sft", "Teach the pretrained model to chat: the second phase.")
