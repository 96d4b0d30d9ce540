using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace AttentionGpu.Hosting.Sessions;

/// <summary>SHA-256 of input rows from the first of a sequence to the last of a page: equal ones are of equal rows, bit by bit.</summary>
internal readonly record struct PrefixHash(UInt128 High, UInt128 Low)
{
    /// <summary>The hashes of all whole pages.</summary>
    /// <param name="rows">[tokens, size].</param>
    /// <param name="pageElements">Elements of a page.</param>
    public static PrefixHash[] Pages<T>(ReadOnlySpan<T> rows, int pageElements)
        where T : unmanaged
    {
        var hashes = new PrefixHash[rows.Length / pageElements];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> last = stackalloc byte[SHA256.HashSizeInBytes];
        for (int page = 0; page < hashes.Length; page++)
        {
            // Each hash is of the one before and of its page: so it is of all pages up to its own.
            if (page > 0)
                hash.AppendData(last);
            hash.AppendData(MemoryMarshal.AsBytes(rows.Slice(page * pageElements, pageElements)));
            hash.GetHashAndReset(last);
            hashes[page] = new PrefixHash(BinaryPrimitives.ReadUInt128BigEndian(last), BinaryPrimitives.ReadUInt128BigEndian(last[16..]));
        }

        return hashes;
    }
}
