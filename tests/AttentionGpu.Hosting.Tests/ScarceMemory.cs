using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Host memory that has none left on demand, and knows what it has given.</summary>
internal sealed class ScarceMemory : BatchMemory
{
    private int _rented;

    /// <summary>Called with the number of elements; may throw.</summary>
    public Action<int> BeforeRent { get; set; } = _ => { };

    /// <summary>Arrays that have not come back.</summary>
    public int Rented => Volatile.Read(ref _rented);

    public override T[] Rent<T>(int length)
    {
        BeforeRent(length);
        Interlocked.Increment(ref _rented);
        return base.Rent<T>(length);
    }

    public override void Return<T>(T[] array)
    {
        Interlocked.Decrement(ref _rented);
        base.Return(array);
    }
}
