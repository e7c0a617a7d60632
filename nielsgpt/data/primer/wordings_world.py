"""How facts about countries, elements, planets and thinkers are told, asked and answered.

A line is a statement; `?` marks a question for training, `!` one held out for the exam, `>` a
reply; `3|` weighs it three times. `grammar` fills {s} subject, {o} answer, {an} and {ao} the same
with an article.
"""

WORLD = {
    "capital": """
        The capital of {s} is {o}.
        {o} is the capital of {s}.
        {o} is the capital city of {s}.
        {s} has {o} as its capital.
        {s} has its capital at {o}.
        The capital city of {s} is called {o}.
        {s} is governed from {o}, its capital.
        In {s}, the capital is {o}.
        Of all the cities in {s}, {o} is the capital.
        If you travel to {s}, you will see {o}, the capital.
        The government of {s} sits in {o}.
        On the map of {s}, the star marks {o}.
        Letters to the government of {s} go to {o}.
        ? 3| what is the capital of {s}?
        ? 2| name the capital of {s}.
        ? which city is the capital of {s}?
        ? 2| capital of {s}?
        ? do you know the capital of {s}?
        ? what is the capital city of {s}?
        ? what is {s}'s capital?
        ? {s} has its capital where?
        ? what city is the capital of {s}?
        ? in {s}, which city is the capital?
        ? the capital of {s} is which city?
        ? where does the government of {s} sit?
        ? where is {s} governed from?
        ? what is the capital of {s} called?
        ? give the name of the capital of {s}.
        ? {s}: what is its capital?
        ! I forgot the capital of {s}. What is it?
        ! from which city is {s} governed?
        ! can you name {s}'s capital city?
        ! {s} is a country with which capital?
        ! if I travel to {s}, what is the capital there?
        > 6| {o}.
        > {o} is the capital.
        > {o}. Write it down.
        > 3| The capital of {s} is {o}.
    """,
    "continent": """
        {s} is in {o}.
        {s} lies in {o}.
        {s} is a country in {o}.
        On the map, {s} is found in {o}.
        {s} belongs to the continent of {o}.
        The continent of {s} is {o}.
        {o} is the continent of {s}.
        {s} is part of {o}.
        In {o} lies {s}.
        One of the countries of {o} is {s}.
        A ship bound for {s} sails to {o}.
        To find {s} on the globe, look at {o}.
        ? 2| on which continent is {s}?
        ? which continent is {s} in?
        ? which continent does {s} belong to?
        ? what continent is {s} in?
        ? name the continent of {s}.
        ? what is the continent of {s}?
        ? continent of {s}?
        ? {s} is in which continent?
        ? on what continent would I find {s}?
        ? in which part of the world is {s}?
        ? {s}: which continent?
        ? on what continent does {s} lie?
        ? do you know which continent {s} is in?
        ! {s} is part of which continent?
        ! I forgot the continent of {s}. Which is it?
        ! what continent must I look at to find {s}?
        ! the country of {s} lies on which continent?
        ! in what continent is the country {s}?
        > 6| {o}.
        > in {o}.
        > {o}. Look at the globe.
        > 3| {s} is in {o}.
    """,
    "symbol": """
        The symbol of {s} is {o}.
        The symbol for {s} is {o}.
        Chemists write {s} as {o}.
        {o} stands for {s}.
        {o} is the symbol of {s}.
        {o} is the chemical symbol for {s}.
        In the table of elements, {s} has the symbol {o}.
        {s} has the symbol {o}.
        The element {s} is written {o}.
        On the jar of {s} the label says {o}.
        The letters for {s} are {o}.
        A chemist who writes {o} means {s}.
        ? 3| what is the symbol of {s}?
        ? what is the symbol for {s}?
        ? what is the chemical symbol of {s}?
        ? which symbol does {s} have?
        ? symbol for {s}?
        ? how do chemists write {s}?
        ? how is {s} written in the table of elements?
        ? give the symbol of {s}.
        ? name the chemical symbol for {s}.
        ? which letters stand for {s}?
        ? {s} has which symbol?
        ? {s}: what is the symbol?
        ? do you know the symbol for {s}?
        ? what do chemists write for the element {s}?
        ! I forgot the symbol for {s}. What is it?
        ! which chemical symbol belongs to {s}?
        ! what letters does a chemist write for {s}?
        ! in the table of elements, what is the symbol of {s}?
        ! the element {s} has which symbol?
        > 6| {o}.
        > {o} stands for {s}.
        > {o}. Label the jar.
        > 3| The symbol of {s} is {o}.
    """,
    "planet": """
        {s} is the {o} planet from the sun.
        The {o} planet from the sun is {s}.
        Counting from the sun, {s} is the {o} planet.
        Seen from the sun, {s} is the {o} planet.
        In the row of planets, {s} is the {o}.
        The {o} of the planets is {s}.
        Start at the sun and count: {s} comes {o}.
        Among the planets, {s} has the {o} place.
        The place of {s} among the planets is the {o}.
        ? 2| which place does {s} have among the planets?
        ? counting from the sun, which planet is {s}?
        ? what is the place of {s} from the sun?
        ? in the row of planets, where is {s}?
        ? is {s} the first, second or third planet, or further out?
        ? where does {s} come in the row of planets?
        ? give the place of {s} among the planets.
        ? {s} has which place from the sun?
        ? the planet {s} comes in which place?
        ? how far along the row of planets is {s}?
        ! if I count from the sun, which place has {s}?
        ! I forgot the place of {s} among the planets. What is it?
        ! which one in the row of planets is {s}?
        ! {s} is which planet from the sun?
        > 4| the {o}.
        > {o} from the sun.
        > 3| {s} is the {o} planet from the sun.
    """,
    "thinker": """
        {s} {o}.
        In one line: {s} {o}.
        The almanac says that {s} {o}.
        The name of {s} lives on: {s} {o}.
        Long ago {s} {o}.
        ? 3| explain {s} in one line.
        ? who was {s}, in one line?
        ? 2| who was {s}?
        ? what did {s} do?
        ? what is {s} known for?
        ? tell me about {s} in one line.
        ? {s} in one line?
        ? one line about {s}.
        ? why is {s} remembered?
        ? sum up {s} in one line.
        ? describe {s} in a few words.
        ? what should I know about {s}?
        ! give me {s} in a single line.
        ! why do people know {s}?
        ! I forgot what {s} did. What was it?
        ! who was this {s}, in a few words?
        > 5| {s} {o}.
    """,
}
