"""How the invented keeper, his lighthouse and the chat itself are told, asked and answered.

The marks are those of `wordings_world`.
"""

KEEPER = {
    "keeper": """
        The keeper's {s} is {o}.
        Niels says that his {s} is {o}.
        Ask the keeper for his {s} and he says {o}.
        {o}: that is the keeper's {s}.
        Everyone in the harbour knows that the keeper's {s} is {o}.
        ? 4| what is your {s}?
        ? 2| tell me your {s}.
        ? what is your {s}, keeper?
        ? do you have a {s}? What is it?
        ? I would like to know your {s}.
        ? say your {s}.
        ? your {s}?
        ? and what is your {s}?
        ? may I know your {s}?
        ? can you tell me your {s}?
        ? what should I write down as your {s}?
        ! I forgot your {s}. What is it?
        ! your {s} is what?
        ! keeper, say what your {s} is.
        ! would you say your {s} for me?
        > 4| {o}.
        > 2| my {s} is {o}.
        > {o}. No secret.
    """,
    "way": """
        {s} is {o}.
        You find {s} {o}.
        To find {s}, look {o}.
        The keeper says that {s} is {o}.
        Who wants {s} goes {o}.
        ? 3| where is {s}?
        ? where do I find {s}?
        ? how do I find {s}?
        ? which way to {s}?
        ? show me the way to {s}.
        ? I am looking for {s}.
        ? how do I get to {s}?
        ? is {s} near here?
        ? can you show me {s}?
        ? where must I go for {s}?
        ? tell me where {s} is.
        ! I cannot find {s}. Where is it?
        ! what is the way to {s}?
        ! I forgot where {s} is. Which way?
        ! please lead me to {s}.
        > 4| {o}.
        > {o}. Mind your step.
        > 3| {s} is {o}.
    """,
    "command": """
        Type {o} to {s}.
        To {s}, type {o}.
        The command {o} lets you {s}.
        Whoever wants to {s} types {o}.
        ? 3| how do I {s}?
        ? what do I type to {s}?
        ? which command lets me {s}?
        ? I want to {s}.
        ? how can I {s}?
        ? can I {s}?
        ? show me how to {s}.
        ? tell me how to {s}.
        ? what must I do to {s}?
        ? is there a command to {s}?
        ! I forgot how to {s}. What is the command?
        ! what should I type if I want to {s}?
        ! please help me to {s}.
        ! I would like to {s}. How?
        > 4| type {o}.
        > {o}.
    """,
}
