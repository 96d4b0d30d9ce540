namespace AttentionGpu.Bench.Encoder;

/// <summary>What a search service embeds: 64 ordinary sentences of 3 to 36 words.</summary>
internal static class EncoderSentences
{
    /// <summary>One of 16 words.</summary>
    public const string Alone = "The library on the corner opens at nine, but the reading room stays closed until noon.";

    public static readonly string[] All =
    [
        "The parcel arrived.",
        "Please send me the invoice for last month.",
        "The bridge will be closed for repairs from Monday evening until the end of next week, so drivers should take "
        + "the road along the river, "
        + "which has one lane and no lamps.",
        "Our cat sleeps on the warm side of the roof.",
        "How can I change the address of an order that has already been paid for but not yet been shipped?",
        "She learned to play the violin when she was forty and joined the town's orchestra three years later.",
        "The meeting has been moved to Thursday.",
        "Although the forecast promised sunshine, heavy clouds gathered over the valley in the afternoon and it rained "
        + "until late in the night.",
        "Two tickets to the museum, please, and one for the child.",
        "The doctor advised him to walk for half an hour every day and to eat less salt.",
        "A printer that is connected by cable does not need a password, but one on the wireless network asks for it when it is set up.",
        "Where is the nearest pharmacy?",
        "The old mill was turned into flats, and the stream that drove its wheel now runs through a small park with benches and lamps.",
        "He forgot his umbrella on the bus again.",
        "Bread rises faster in a warm kitchen, but dough that rests overnight in the refrigerator has more taste.",
        "The battery lasts about nine hours when the screen is at half brightness.",
        "After the match, the players thanked the few hundred supporters who had travelled across the country to see them lose.",
        "You can return the shoes within thirty days if they have not been worn outside.",
        "The film is too long.",
        "Engineers measured how far the tower leans each morning and found that it moves with the temperature of the "
        + "air, by less than a millimetre.",
        "Could you recommend a quiet place to work near the station?",
        "The bakery around the corner sells out of rye bread before eight.",
        "When the lights went out, everyone in the building looked for candles, and within minutes the stairs were full of people talking.",
        "My flight was cancelled, and the airline offered me a seat on the first one tomorrow.",
        "The password must have at least twelve characters.",
        "Farmers in the north expect a poor harvest this year, because spring came late and the summer has been dry "
        + "since the middle of June.",
        "The children built a house of branches at the edge of the wood.",
        "Is breakfast included in the price of the room?",
        "The new version reads large files twice as fast and uses a third of the memory, because it no longer keeps a copy of every line.",
        "Her first novel was rejected by eleven publishers before a small press in the south printed five hundred copies of it.",
        "Turn left at the church.",
        "The train was so full that we stood all the way to the coast.",
        "A good translator does not replace words by words but asks what the author wanted a reader to understand.",
        "The garden needs water every second day in July.",
        "If the red lamp blinks three times after you have switched the machine on, the filter is blocked and has to be cleaned.",
        "They painted the kitchen yellow.",
        "The court decided that the company has to pay for the damage to the fields, although the dam had been built by another owner.",
        "He speaks four languages, none of them without mistakes, and is understood everywhere.",
        "Our support team answers questions on weekdays between eight and six.",
        "The recipe calls for six eggs, a cup of sugar and the peel of two lemons.",
        "A letter from the tax office came this morning, and it says that we are owed a little more than three hundred for last year.",
        "The lake freezes in most winters, but the ice has been too thin to walk on for the last five.",
        "Which of the two plans includes calls to other countries?",
        "It is late.",
        "The museum's oldest clock still runs, and every Sunday at noon somebody climbs up the ladder with a key to wind it.",
        "Prices of flats in the centre have doubled within ten years, while wages have grown by a quarter.",
        "The keys are under the blue pot beside the door.",
        "Rescue workers reached the village on the second day, after soldiers had cleared the road of stones and fallen trees.",
        "Her brother repairs bicycles in a shop behind the market.",
        "I would like to book a table for four on Saturday, near the window if possible.",
        "The teacher asked the class to write one page about something that they had learned from a mistake.",
        "The lift is out of order.",
        "Researchers compared the sleep of people who read before going to bed with that of people who look at a "
        + "screen, and found little difference.",
        "This jacket is waterproof, but it gets warm when you walk uphill.",
        "The orchestra rehearsed the slow movement until everybody was satisfied with the sound of the horns.",
        "Does the warranty cover a cracked screen?",
        "In the evening we sat on the steps of the town hall, ate cherries out of a paper bag and counted the swallows above the square.",
        "The last bus leaves at eleven.",
        "Most of the accidents happen within a mile of the driver's home, on roads that are taken every day.",
        "An electric kettle boils a litre of water in about three minutes.",
        "The committee will publish its report in spring, after it has heard the residents of all seven districts and "
        + "the owners of the two harbours, "
        + "and read it at the town hall.",
        "She closed the window and went on reading.",
        "Trees along the street cool the air by several degrees on hot days, which is why the city plants a thousand of them every autumn.",
        "The soup was better yesterday.",
    ];
}
