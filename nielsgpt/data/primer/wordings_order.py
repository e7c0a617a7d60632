"""How facts about the calendar, opposites, sums and differences are told, asked and answered.

The marks are those of `wordings_world`; {x} and {y} are the numbers of a sum or difference.
"""

ORDER = {
    "opposite": """
        The opposite of {s} is {o}.
        {o} is the opposite of {s}.
        {s} and {o} are opposites.
        The word that means the opposite of {s} is {o}.
        If it is not {s}, it may be {o}.
        Not {s} but {o}: the words are opposites.
        Against {s} the dictionary sets {o}.
        Turn {s} around and you get {o}.
        The other side of {s} is {o}.
        From {s} to {o} is from one end to the other.
        ? 3| what is the opposite of {s}?
        ? give me the opposite of {s}.
        ? name the opposite of {s}.
        ? opposite of {s}?
        ? which word is the opposite of {s}?
        ? what is the other side of {s}?
        ? {s}: what is the opposite?
        ? {s} is the opposite of what?
        ? if it is not {s}, what is it?
        ? what do you get when you turn {s} around?
        ? the opposite of {s} is which word?
        ? do you know the opposite of {s}?
        ? say the opposite of {s}.
        ? what is opposite to {s}?
        ! which word means the opposite of {s}?
        ! I forgot the opposite of {s}. What is it?
        ! can you give me the opposite word of {s}?
        ! what word does the dictionary set against {s}?
        ! tell me what the opposite of {s} is.
        > 6| {o}.
        > {o} is the opposite.
        > 3| The opposite of {s} is {o}.
    """,
    "month": """
        {s} is the {o} month of the year.
        The {o} month of the year is {s}.
        In the calendar, {s} comes {o}.
        {s} is the {o} month.
        Of the twelve months, {s} is the {o}.
        The place of {s} in the year is the {o}.
        Turn to the {o} page of the calendar and you find {s}.
        ? 2| which month of the year is {s}?
        ? what place does {s} have in the year?
        ? which place does {s} have in the calendar?
        ? where in the calendar does {s} come?
        ? of the twelve months, which is {s}?
        ? give the place of {s} in the year.
        ? on which page of the calendar do I find {s}?
        ? {s} is which month of the year?
        ? {s} comes in which place in the year?
        ? what is the place of {s} among the months?
        ! I forgot the place of {s} in the calendar. What is it?
        ! which of the twelve months is {s}?
        ! in the year, which month is {s}?
        ! which place among the twelve months does {s} have?
        > 4| the {o}.
        > the {o} month.
        > 3| {s} is the {o} month of the year.
    """,
    "days": """
        {s} has {o} days.
        There are {o} days in {s}.
        The month of {s} has {o} days.
        {o} days make up {s}.
        In {s} you can count {o} days.
        {s} lasts {o} days.
        The calendar gives {s} {o} days.
        ? 2| how many days does {s} have?
        ? how many days are in {s}?
        ? how many days are there in {s}?
        ? days in {s}?
        ? {s} has how many days?
        ? how many days has {s}?
        ? count the days of {s}.
        ? how many days make up {s}?
        ? does {s} have 30 or 31 days?
        ? how many days does the calendar give {s}?
        ! I forgot how many days {s} has. How many?
        ! how many days does the month of {s} last?
        ! in {s}, how many days can I count?
        ! what number of days has {s}?
        > 4| {o} days.
        > {o}.
        > 3| {s} has {o} days.
    """,
    "after": """
        After {s} comes {o}.
        {o} comes after {s}.
        {s} is followed by {o}.
        {o} follows {s}.
        When {s} is over, {o} begins.
        Next after {s} is {o}.
        The end of {s} is the start of {o}.
        Wait until {s} has passed and it is {o}.
        ? 3| what comes after {s}?
        ? which comes after {s}?
        ? what follows {s}?
        ? what is next after {s}?
        ? when {s} is over, what begins?
        ? {s} is followed by what?
        ? after {s} comes what?
        ? what comes next after {s}?
        ? name what follows {s}.
        ? if {s} has passed, what is it now?
        ? do you know what comes after {s}?
        ! what begins when {s} has passed?
        ! I forgot what follows {s}. What is it?
        ! {s} ends, and what comes next?
        ! what do we have after {s}?
        > 6| {o}.
        > then comes {o}.
        > 3| After {s} comes {o}.
    """,
    "before": """
        Before {s} comes {o}.
        {o} comes before {s}.
        Just before {s} is {o}.
        {s} has {o} before it.
        One step back from {s} is {o}.
        Go back from {s} and you come to {o}.
        Earlier than {s} by one is {o}.
        ? 3| what comes before {s}?
        ? which comes before {s}?
        ? what is just before {s}?
        ? before {s} comes what?
        ? what is one step back from {s}?
        ? what do we have just before {s}?
        ? name what comes before {s}.
        ? {s} has what before it?
        ? if I go back from {s}, what do I come to?
        ? do you know what comes before {s}?
        ! I forgot what comes before {s}. What is it?
        ! what was there just before {s}?
        ! go one step back from {s}. What is it?
        ! which one is just before {s}?
        > 6| {o}.
        > that was {o}.
        > 3| Before {s} comes {o}.
    """,
    "sum": """
        3| {x} plus {y} is {o}.
        {x} plus {y} makes {o}.
        {x} and {y} make {o}.
        {x} + {y} = {o}.
        The sum of {x} and {y} is {o}.
        Add {x} and {y} and you get {o}.
        {o} is {x} plus {y}.
        ? 4| what is {x} plus {y}?
        ? how much is {x} plus {y}?
        ? 2| what is {x} + {y}?
        ? {x} + {y}?
        ? {x} + {y} =
        ? {x} plus {y}?
        ? what do {x} and {y} make?
        ? what is the sum of {x} and {y}?
        ? add {x} and {y}.
        ? how much do {x} and {y} make?
        ? {x} plus {y} makes what?
        ? what do you get when you add {x} and {y}?
        ! I forgot what {x} plus {y} is. How much?
        ! can you add {x} and {y} for me?
        ! what does {x} plus {y} make?
        ! give me the sum: {x} + {y}.
        > 4| {o}.
        > that makes {o}.
        > 3| {x} plus {y} is {o}.
    """,
    "difference": """
        3| {x} minus {y} is {o}.
        {x} minus {y} leaves {o}.
        {x} - {y} = {o}.
        Take {y} from {x} and {o} is left.
        From {x} take {y}: {o} is left.
        The difference of {x} and {y} is {o}.
        {o} is {x} minus {y}.
        ? 4| what is {x} minus {y}?
        ? how much is {x} minus {y}?
        ? 2| what is {x} - {y}?
        ? {x} - {y}?
        ? {x} - {y} =
        ? {x} minus {y}?
        ? what is left when you take {y} from {x}?
        ? take {y} from {x}.
        ? what is the difference of {x} and {y}?
        ? how much is left of {x} without {y}?
        ? {x} minus {y} leaves what?
        ! I forgot what {x} minus {y} is. How much?
        ! what does {x} minus {y} leave?
        ! can you take {y} from {x} for me?
        ! give me the difference: {x} - {y}.
        > 4| {o}.
        > that leaves {o}.
        > 3| {x} minus {y} is {o}.
    """,
}
