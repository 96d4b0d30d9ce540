namespace AttentionGpu.Tensors;

/// <summary>Exceptions for a caller's mistakes, by the public name of the input, option or output.</summary>
internal static class BadInput
{
    public static ArgumentException Because(string name, string message) => new(message, name);

    public static ArgumentOutOfRangeException OutOfRange(string name, object? value, string message) => new(name, value, message);

    /// <summary>Throws where an argument excludes another one.</summary>
    public static void RefuseWhen(bool refused, string name, string reason)
    {
        if (refused)
            throw Because(name, $"'{name}' must be left out where {reason}.");
    }
}
