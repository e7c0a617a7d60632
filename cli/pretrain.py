"""nielsgpt pretrain."""

from cli.training import training_command

command = training_command("pretrain", "Train the model on text: the first phase.")
