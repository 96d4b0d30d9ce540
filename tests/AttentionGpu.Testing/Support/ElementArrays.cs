namespace AttentionGpu.Tests.Support;

/// <summary>Arrays of the engine's element types, made from float32 and back.</summary>
internal static class ElementArrays
{
    /// <summary>By how much a result may differ, relative to the largest expected value.</summary>
    public static double Tolerance<T>() => default(T) switch
    {
        float => Close.Tolerance,
        Half => 2e-3,
        BFloat16 => 1e-2,
        _ => throw new NotSupportedException($"{typeof(T)}"),
    };

    /// <summary>Rounds each value.</summary>
    public static T[] Round<T>(float[] values) => Array.ConvertAll(values, Round<T>);

    /// <summary>Values as they are.</summary>
    public static float[] Widen<T>(T[] values) => Array.ConvertAll(values, value => value switch
    {
        float single => single,
        Half half => (float)half,
        BFloat16 half => half,
        _ => throw new NotSupportedException($"{typeof(T)}"),
    });

    /// <summary>An output that shows what was not written.</summary>
    public static T[] Poisoned<T>(int length)
    {
        var values = new T[length];
        Array.Fill(values, Round<T>(float.NaN));
        return values;
    }

    private static T Round<T>(float value)
    {
        object rounded = default(T) switch
        {
            float => value,
            Half => (Half)value,
            BFloat16 => (BFloat16)value,
            _ => throw new NotSupportedException($"{typeof(T)}"),
        };
        return (T)rounded;
    }
}
