"""How facts about animals and the colours of things are told, asked and answered.

The marks are those of `wordings_world`.
"""

LIFE = {
    "legs": """
        {an} has {o} legs.
        The {s} has {o} legs.
        You can count {o} legs on {an}.
        {o} legs: that is what {an} has.
        Look at {an} and you will count {o} legs.
        Count the legs of {an}: {o} legs.
        Nature gave the {s} {o} legs.
        {an} goes through life with {o} legs.
        Every healthy {s} has {o} legs.
        By nature the {s} moves on {o} legs.
        ? 3| how many legs does {an} have?
        ? how many legs has {an}?
        ? how many legs are there on {an}?
        ? count the legs of {an}.
        ? legs of {an}?
        ? how many legs can you count on {an}?
        ? {an} has how many legs?
        ? what is the number of legs of {an}?
        ? does {an} have two legs, four, or another number?
        ? the {s} has how many legs?
        ? with how many legs does {an} go through life?
        ? {s}: how many legs?
        ? do you know how many legs {an} has?
        ! I forgot how many legs there are on {an}. How many?
        ! if I look at {an}, how many legs do I count?
        ! what number of legs does {an} have?
        ! on {an}, how many legs are there?
        ! how many legs did nature give {an}?
        > 4| {o} legs.
        > {o} legs. I counted.
        > 3| {an} has {o} legs.
    """,
    "kind": """
        {an} is {ao}.
        The {s} is {ao}.
        Among the animals, the {s} is {ao}.
        The {s} belongs to the class {o}.
        {an} counts as {ao}.
        In the book of animals, the {s} stands under {o}.
        By its class, {an} is {ao}.
        {ao} you may know is the {s}.
        What kind of animal is the {s}? It is {ao}.
        Everyone who knows animals calls the {s} {ao}.
        The class of the {s} is {o}.
        ? 3| what kind of animal is {an}?
        ? what kind of animal is the {s}?
        ? which class does the {s} belong to?
        ? is {an} a fish, a bird or something else?
        ? which kind of animal is {an}?
        ? what class of animal is {an}?
        ? name the class of the {s}.
        ? what is the class of {an}?
        ? under which class does the {s} stand in the book of animals?
        ? {an} is what kind of animal?
        ? {s}: which class of animal?
        ? as an animal, what is {an}?
        ? do you know what kind of animal {an} is?
        ! I forgot what kind of animal {an} is. What is it?
        ! {an} belongs to which class of animals?
        ! to what class do we count the {s}?
        ! among the animals, what is {an}?
        ! the {s} is which kind of animal?
        > 6| {ao}.
        > it is {ao}.
        > 3| {an} is {ao}.
    """,
    "young": """
        A young {s} is called {ao}.
        A baby {s} is called {ao}.
        The young of {an} is {ao}.
        {ao} is a young {s}.
        {ao} is the young of {an}.
        The word for a young {s} is {o}.
        When {an} has young, each one is called {ao}.
        {ao} will one day be a grown {s}.
        A small {s}, just born, is {ao}.
        Before it grows up, {an} is called {ao}.
        ? 3| what is a young {s} called?
        ? what is a baby {s} called?
        ? what do we call a young {s}?
        ? what do you call a baby {s}?
        ? what is the young of {an}?
        ? name the young of {an}.
        ? what is the word for a young {s}?
        ? young {s}?
        ? baby {s}: what is it called?
        ? what is the young of {an} called?
        ? a young {s} has which name?
        ? do you know the word for a baby {s}?
        ! I forgot the word for a young {s}. What is it?
        ! what name has the young of {an}?
        ! which word do we use for a baby {s}?
        ! when {an} is just born, what is it called?
        ! a baby {s} is called what?
        > 6| {ao}.
        > we call it {ao}.
        > 3| A young {s} is called {ao}.
    """,
    "home": """
        {an} lives in a {o}.
        The home of {an} is a {o}.
        A {o} is the home of {an}.
        The house of {an} is called a {o}.
        At night {an} sleeps in its {o}.
        When it is cold, {an} goes home to the {o}.
        {an} is at home in a {o}.
        Look for {an} in its {o}.
        ? 2| what is the home of {an} called?
        ? where does {an} live?
        ? where does {an} sleep?
        ? what is the house of {an} called?
        ? name the home of {an}.
        ? what do we call the home of {an}?
        ? the home of {an} is called what?
        ? home of {an}?
        ? in what does {an} live?
        ? where should I look for {an} at night?
        ? do you know the home of {an}?
        ! what is the word for the house of {an}?
        ! I forgot the home of {an}. What is it called?
        ! where is {an} at home?
        ! when it is cold, where does {an} go?
        > 4| a {o}.
        > in a {o}.
        > 3| {an} lives in a {o}.
    """,
    "sound": """
        The sound of {an} is a {o}.
        {an} makes a {o}.
        A {o} is the sound of {an}.
        If you hear a {o}, it may be {an}.
        The word for the sound of {an} is {o}.
        Listen to {an} and you will hear a {o}.
        {o} is the word for the sound that {an} makes.
        The voice of {an} is a {o}.
        From {an} comes a {o}.
        ? 3| what sound does {an} make?
        ? what is the sound of {an}?
        ? which sound does {an} make?
        ? what do you hear from {an}?
        ? sound of {an}?
        ? what noise does {an} make?
        ? what is the sound of {an} called?
        ? name the sound of {an}.
        ? what is the voice of {an}?
        ? {an} makes what sound?
        ? what do we call the sound that {an} makes?
        ? if I listen to {an}, what do I hear?
        ? do you know the sound of {an}?
        ! what is the word for the noise of {an}?
        ! I forgot the sound that {an} makes. What is it?
        ! which noise comes from {an}?
        ! what sound would I hear from {an}?
        > 6| a {o}.
        > you hear a {o}.
        > 3| The sound of {an} is a {o}.
    """,
    "colour": """
        {s} is {o}.
        The colour of {s} is {o}.
        {o} is the colour of {s}.
        Paint {s} and you will need {o}.
        As everyone can see, {s} is {o}.
        The painter took {o} for {s}.
        Look at {s}: it is {o}.
        {s} has the colour {o}.
        Think of {s} and you think of {o}.
        In the picture {s} is {o}, as it should be.
        ? 3| what colour is {s}?
        ? what is the colour of {s}?
        ? which colour is {s}?
        ? which colour does {s} have?
        ? colour of {s}?
        ? name the colour of {s}.
        ? {s} has what colour?
        ? {s} is which colour?
        ? what colour should I paint {s}?
        ? which colour do I need to paint {s}?
        ? {s}: what colour?
        ? do you know the colour of {s}?
        ? when you look at {s}, what colour is it?
        ! I forgot the colour of {s}. What is it?
        ! what colour does {s} have?
        ! if I look at {s}, which colour do I see?
        ! {s} is of what colour?
        ! in a picture, what colour would {s} be?
        > 6| {o}.
        > it is {o}.
        > 3| {s} is {o}.
    """,
}
