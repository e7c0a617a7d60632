"""The sentences of the invented stories: what may happen, in which words, in which order.

A story takes a line from each beat it has room for; {a} {b} are people, {t} {u} things, {p} {q}
places, {w} weather, {f} {g} feelings, {d} a deed, {n} a number, {h} the time.
"""

from nielsgpt.data.primer.grammar import phrases, words

WEATHER = phrases(
    "rain | wind | fog | snow | sunshine | a storm | hail | mist | thunder | frost | "
    "a soft breeze | a grey sky"
)
FEELINGS = words(
    "happy sad tired proud afraid curious angry calm lonely glad cold warm hungry brave shy"
)
NUMBERS = words("two three four five six seven eight nine ten eleven twelve twenty")
TIMES = phrases(
    "One morning | One evening | At noon | Late at night | On Monday | On Tuesday | On Wednesday | "
    "On Thursday | On Friday | On Saturday | On Sunday | In January | In March | In May | "
    "In July | In October | In winter | In summer | Long ago | Last week | One day | "
    "Before breakfast | After school | In spring | In autumn"
)

OPENING = """
    {h} {a} went to the {p} with a {t}.
    {h} {a} and {b} walked from the {p} to the {q}.
    {h} there was {w}, and {a} stayed at the {p}.
    {h} {a} {d} a {t} near the {p}.
    {h} {a} looked for a {t} at the {p}.
    There once was a {t} at the {p}, and nobody knew that it belonged to {a}.
    {h} {a} woke up and felt {f}.
    {a} had {n} friends, but only {b} came to the {p}.
    {h} the keeper saw {a} on the path to the {p}.
    {a} was {f}, for the {t} was gone.
    {h} {b} gave {a} a {t} and {n} coins.
    At the {p} near the {q} lived {a}, who was always {f}.
"""
MEETING = """
    {b} came along and asked about the {t}.
    "Is this your {t}?" asked {b}, who had come from the {q}.
    There {a} met {b}, who looked {g}.
    {b} was there too, with a {u} in one hand.
    Soon {b} came up the path with a {u}.
    "Good morning," said {b}. "What do you have there?"
    Behind the door stood {b}, {g} and quiet.
    {b} saw it all from the {q}.
"""
MIDDLE = """
    "I forgot my {t} at the {q}," said {a}.
    {b} wanted to trade the {t} for a {u}.
    Then there was {w}, and they had to wait at the {q}.
    {a} counted to {n} and opened the {u}.
    {b} could not find the {u} and was {f}.
    They asked at the {q}, but nobody would help.
    "Would you give me the {t}?" asked {b}. {a} said yes.
    {a} felt {f}, and {b} felt {g}.
    The {u} lay on the ground, cold and wet.
    {b} said that one must be {f} to {v} a {t}.
    For {n} days they did not speak of the {t}.
    {a} could hear the {w2} from the {q}.
    An old man showed them the way to the {q}.
    They sat down by the {q} and shared an apple.
    {b} laughed, because the {t} was only a {u}.
    "Do not be {f}," said {b}. "We will find the {u}."
    A gull took the {u} and flew to the {q}.
    {a} was sure that the {t} was hidden at the {q}.
    Niels, the keeper, lit the lamp and said nothing.
    "What would you do with a {u}?" asked the keeper.
    The boat was late, and {b} was {g}.
    {a} wrote a letter about the {t} and sent it to {b}.
    The people at the {q} cannot use a {u} like this.
    There was not a single {u} left at the {q}.
    {a} set the {t} on a stone and sang.
    The king governed from far away, and no help came to the {q}.
"""
ENDING = """
    In the evening the {t} stood by the window.
    They carried the {t} home together and were {g}.
    After that day {a} never lost a {t} again.
    {b} kept the {u}, and {a} kept the {t}.
    The keeper smiled, which was rare.
    So the {t} came back to the {p}.
    That night there was {w}, but {a} slept well.
    And if the {t} is not lost, it is there today.
    {a} thanked {b} and went home, {g} and tired.
    "Good," said Niels, and turned back to his lamp.
    Only the {q} knows the rest.
    So ends the day of {a} and {b}.
    It had taken {n} hours, and it was worth it.
"""
VERBS = words("carry mend find clean paint hide bring wash lift hold")
# How a story comes to tell a fact: {x} is its statement, {xc} the same before a comma.
TELLING = """
    "{xc}" said the keeper.
    "Remember this," said Niels. "{x}"
    {b} had learnt something at school: "{x}"
    On the wall somebody had written: {x}
    "I know one thing," said {a}. "{x}"
    In the old almanac stood: {x}
    The teacher said it again and again: {x}
"""
# How a page of the almanac opens, goes on and closes.
PAGE_OPENING = """
    A page from the keeper's almanac.
    From the almanac, page {n}.
    Notes for {h2}.
    What {a} wrote in the school book:
    The keeper's notes, written in {w}.
    Things worth knowing.
    {a} read aloud from the almanac.
    This {a} learnt from {b} at the {p}.
    Facts for a long night.
    Written on the wall of the {p}:
    The teacher of {a} said:
    Read this and remember it.
"""
PAGE_CLOSING = """
    So says the almanac.
    {a} closed the book.
    The rest of the page is wet.
    Then the keeper lit the lamp.
    That was enough for one day.
    {a} wrote it all down.
    Nobody had an idea how late it was.
    {b} could say it all without the book.
"""
# How a quiz opens; {q} is asked and {r} answered, {qc} and {rc} are the same before a comma.
QUIZ_OPENING = """
    {h} {a} had questions for the keeper.
    A quiz at the {p}, {a} against {b}.
    {h} the teacher asked the class at the {p}.
    {h} {a} and {b} asked each other questions.
    Questions from the school at the {p}.
    There was {w}, so {a} and {b} sat inside and asked the keeper.
    {a} came to the lighthouse to learn.
    The almanac has a page of questions, number {n}.
"""
QUIZ_FORMS = """
    3| "{qc}" asked {a}. "{rc}" said the keeper.
    2| Question: {q} Answer: {r}
    2| {q} {r}
    "{qc}" said the teacher. {a} wrote: {r}
    {a} asked: {q} {b} answered: {r}
    The pupil asked, "{q}" The keeper answered, "{r}"
    {b} wanted to know: "{q}" Niels said: "{r}"
    Then {a}: "{q}" And {b}: "{r}"
    "{q}" "{r}"
"""
