"""Training on many processes: who trains together, and how their gradients become one."""
