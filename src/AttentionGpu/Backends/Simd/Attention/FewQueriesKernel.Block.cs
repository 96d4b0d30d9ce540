using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Backends.Simd.Attention;

/// <content>The rows that the kernel is on.</content>
internal sealed unsafe partial class FewQueriesKernel<TVector, TOperations>
{
    /// <summary>Rows of one key/value head, by query head and then query.</summary>
    private struct Block
    {
        /// <summary>The scaled queries, times what stored elements lack: [rows, head size].</summary>
        public float* Queries;

        /// <summary>The weighted sums: [rows, value head size rounded up to lanes].</summary>
        public float* Sums;

        /// <summary>Scores, then weights: [rows, keys of a part]. All that follows is in the memory that rows in lanes have too.</summary>
        public float* Scores;

        /// <summary>What a mask adds to a row.</summary>
        public float* MaskRow;

        /// <summary>What stored rows are converted to.</summary>
        public float* Room;

        /// <summary>The largest score of each row.</summary>
        public float* Maxima;

        /// <summary>The sum of the weights of each row; -0 for one that has looked at no key.</summary>
        public float* Totals;

        /// <summary>An output row before it is stored.</summary>
        public float* Output;

        public StoredProducts<TVector, TOperations> KeyProducts;
        public StoredProducts<TVector, TOperations> ValueProducts;
        public Sequence Sequence;
        public int Batch;
        public int FirstHead;
        public int FirstRow;
        public int Rows;
    }
}
