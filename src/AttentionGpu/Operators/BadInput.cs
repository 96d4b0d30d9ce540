namespace AttentionGpu.Operators;

/// <summary>Exceptions for what a caller got wrong, by the public name of the input, option or output.</summary>
internal static class BadInput
{
    public static ArgumentException Because(string name, string message) => new(message, name);

    public static ArgumentOutOfRangeException OutOfRange(string name, object? value, string message) => new(name, value, message);
}
