using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>Products of float16.</summary>
public struct HalfTensorCore : ITensorCoreElement
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scores(int query, int key0, int key1) => CudaAsm.Emit(
        """
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a0, a1, a2, a3}, [%0];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%1];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b4, b5, b6, b7}, [%2];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {s0, s1, s2, s3}, {a0, a1, a2, a3}, {b0, b1}, {s0, s1, s2, s3};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {s4, s5, s6, s7}, {a0, a1, a2, a3}, {b2, b3}, {s4, s5, s6, s7};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {s8, s9, s10, s11}, {a0, a1, a2, a3}, {b4, b5}, {s8, s9, s10, s11};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {s12, s13, s14, s15}, {a0, a1, a2, a3}, {b6, b7}, {s12, s13, s14, s15};
        """, query, key0, key1);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void KeepFinite(int address) => CudaAsm.Emit(
        """
            ld.shared.b32 k, [%0];
            and.b32 a0, k, 31744; setp.eq.b32 p0, a0, 31744; selp.b32 a0, 4294901760, 4294967295, p0;
            and.b32 a1, k, 2080374784; setp.eq.b32 p0, a1, 2080374784; selp.b32 a1, 65535, 4294967295, p0;
            and.b32 k, k, a0; and.b32 k, k, a1;
            st.shared.b32 [%0], k;
        """, address);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PackLow() => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 a0, s1, s0;
            cvt.rn.f16x2.f32 a1, s3, s2;
            cvt.rn.f16x2.f32 a2, s5, s4;
            cvt.rn.f16x2.f32 a3, s7, s6;
        """);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PackHigh() => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 a0, s9, s8;
            cvt.rn.f16x2.f32 a1, s11, s10;
            cvt.rn.f16x2.f32 a2, s13, s12;
            cvt.rn.f16x2.f32 a3, s15, s14;
        """);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ValuesLow(int value0, int value1, int value2, int value3) => CudaAsm.Emit(
        """
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b0, b1, b2, b3}, [%0];
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b4, b5, b6, b7}, [%1];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o0, o1, o2, o3}, {a0, a1, a2, a3}, {b0, b1}, {o0, o1, o2, o3};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o4, o5, o6, o7}, {a0, a1, a2, a3}, {b2, b3}, {o4, o5, o6, o7};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o8, o9, o10, o11}, {a0, a1, a2, a3}, {b4, b5}, {o8, o9, o10, o11};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o12, o13, o14, o15}, {a0, a1, a2, a3}, {b6, b7}, {o12, o13, o14, o15};
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b0, b1, b2, b3}, [%2];
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b4, b5, b6, b7}, [%3];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o16, o17, o18, o19}, {a0, a1, a2, a3}, {b0, b1}, {o16, o17, o18, o19};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o20, o21, o22, o23}, {a0, a1, a2, a3}, {b2, b3}, {o20, o21, o22, o23};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o24, o25, o26, o27}, {a0, a1, a2, a3}, {b4, b5}, {o24, o25, o26, o27};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o28, o29, o30, o31}, {a0, a1, a2, a3}, {b6, b7}, {o28, o29, o30, o31};
        """, value0, value1, value2, value3);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ValuesHigh(int value0, int value1, int value2, int value3) => CudaAsm.Emit(
        """
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b0, b1, b2, b3}, [%0];
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b4, b5, b6, b7}, [%1];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o32, o33, o34, o35}, {a0, a1, a2, a3}, {b0, b1}, {o32, o33, o34, o35};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o36, o37, o38, o39}, {a0, a1, a2, a3}, {b2, b3}, {o36, o37, o38, o39};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o40, o41, o42, o43}, {a0, a1, a2, a3}, {b4, b5}, {o40, o41, o42, o43};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o44, o45, o46, o47}, {a0, a1, a2, a3}, {b6, b7}, {o44, o45, o46, o47};
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b0, b1, b2, b3}, [%2];
            ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b4, b5, b6, b7}, [%3];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o48, o49, o50, o51}, {a0, a1, a2, a3}, {b0, b1}, {o48, o49, o50, o51};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o52, o53, o54, o55}, {a0, a1, a2, a3}, {b2, b3}, {o52, o53, o54, o55};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o56, o57, o58, o59}, {a0, a1, a2, a3}, {b4, b5}, {o56, o57, o58, o59};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o60, o61, o62, o63}, {a0, a1, a2, a3}, {b6, b7}, {o60, o61, o62, o63};
        """, value0, value1, value2, value3);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreLow(long row0, long row1, int columns0, int columns1) => CudaAsm.Emit(
        """
            mul.f32 o0, o0, c0; mul.f32 o1, o1, c0; cvt.rn.f16x2.f32 k, o1, o0;
            setp.gt.s32 p0, %2, 0; @p0 st.global.b32 [%0+0], k;
            mul.f32 o2, o2, c1; mul.f32 o3, o3, c1; cvt.rn.f16x2.f32 k, o3, o2;
            setp.gt.s32 p0, %3, 0; @p0 st.global.b32 [%1+0], k;
            mul.f32 o4, o4, c0; mul.f32 o5, o5, c0; cvt.rn.f16x2.f32 k, o5, o4;
            setp.gt.s32 p0, %2, 8; @p0 st.global.b32 [%0+16], k;
            mul.f32 o6, o6, c1; mul.f32 o7, o7, c1; cvt.rn.f16x2.f32 k, o7, o6;
            setp.gt.s32 p0, %3, 8; @p0 st.global.b32 [%1+16], k;
            mul.f32 o8, o8, c0; mul.f32 o9, o9, c0; cvt.rn.f16x2.f32 k, o9, o8;
            setp.gt.s32 p0, %2, 16; @p0 st.global.b32 [%0+32], k;
            mul.f32 o10, o10, c1; mul.f32 o11, o11, c1; cvt.rn.f16x2.f32 k, o11, o10;
            setp.gt.s32 p0, %3, 16; @p0 st.global.b32 [%1+32], k;
            mul.f32 o12, o12, c0; mul.f32 o13, o13, c0; cvt.rn.f16x2.f32 k, o13, o12;
            setp.gt.s32 p0, %2, 24; @p0 st.global.b32 [%0+48], k;
            mul.f32 o14, o14, c1; mul.f32 o15, o15, c1; cvt.rn.f16x2.f32 k, o15, o14;
            setp.gt.s32 p0, %3, 24; @p0 st.global.b32 [%1+48], k;
            mul.f32 o16, o16, c0; mul.f32 o17, o17, c0; cvt.rn.f16x2.f32 k, o17, o16;
            setp.gt.s32 p0, %2, 32; @p0 st.global.b32 [%0+64], k;
            mul.f32 o18, o18, c1; mul.f32 o19, o19, c1; cvt.rn.f16x2.f32 k, o19, o18;
            setp.gt.s32 p0, %3, 32; @p0 st.global.b32 [%1+64], k;
            mul.f32 o20, o20, c0; mul.f32 o21, o21, c0; cvt.rn.f16x2.f32 k, o21, o20;
            setp.gt.s32 p0, %2, 40; @p0 st.global.b32 [%0+80], k;
            mul.f32 o22, o22, c1; mul.f32 o23, o23, c1; cvt.rn.f16x2.f32 k, o23, o22;
            setp.gt.s32 p0, %3, 40; @p0 st.global.b32 [%1+80], k;
            mul.f32 o24, o24, c0; mul.f32 o25, o25, c0; cvt.rn.f16x2.f32 k, o25, o24;
            setp.gt.s32 p0, %2, 48; @p0 st.global.b32 [%0+96], k;
            mul.f32 o26, o26, c1; mul.f32 o27, o27, c1; cvt.rn.f16x2.f32 k, o27, o26;
            setp.gt.s32 p0, %3, 48; @p0 st.global.b32 [%1+96], k;
            mul.f32 o28, o28, c0; mul.f32 o29, o29, c0; cvt.rn.f16x2.f32 k, o29, o28;
            setp.gt.s32 p0, %2, 56; @p0 st.global.b32 [%0+112], k;
            mul.f32 o30, o30, c1; mul.f32 o31, o31, c1; cvt.rn.f16x2.f32 k, o31, o30;
            setp.gt.s32 p0, %3, 56; @p0 st.global.b32 [%1+112], k;
        """, row0, row1, columns0, columns1);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHigh(long row0, long row1, int columns0, int columns1) => CudaAsm.Emit(
        """
            mul.f32 o32, o32, c0; mul.f32 o33, o33, c0; cvt.rn.f16x2.f32 k, o33, o32;
            setp.gt.s32 p0, %2, 64; @p0 st.global.b32 [%0+128], k;
            mul.f32 o34, o34, c1; mul.f32 o35, o35, c1; cvt.rn.f16x2.f32 k, o35, o34;
            setp.gt.s32 p0, %3, 64; @p0 st.global.b32 [%1+128], k;
            mul.f32 o36, o36, c0; mul.f32 o37, o37, c0; cvt.rn.f16x2.f32 k, o37, o36;
            setp.gt.s32 p0, %2, 72; @p0 st.global.b32 [%0+144], k;
            mul.f32 o38, o38, c1; mul.f32 o39, o39, c1; cvt.rn.f16x2.f32 k, o39, o38;
            setp.gt.s32 p0, %3, 72; @p0 st.global.b32 [%1+144], k;
            mul.f32 o40, o40, c0; mul.f32 o41, o41, c0; cvt.rn.f16x2.f32 k, o41, o40;
            setp.gt.s32 p0, %2, 80; @p0 st.global.b32 [%0+160], k;
            mul.f32 o42, o42, c1; mul.f32 o43, o43, c1; cvt.rn.f16x2.f32 k, o43, o42;
            setp.gt.s32 p0, %3, 80; @p0 st.global.b32 [%1+160], k;
            mul.f32 o44, o44, c0; mul.f32 o45, o45, c0; cvt.rn.f16x2.f32 k, o45, o44;
            setp.gt.s32 p0, %2, 88; @p0 st.global.b32 [%0+176], k;
            mul.f32 o46, o46, c1; mul.f32 o47, o47, c1; cvt.rn.f16x2.f32 k, o47, o46;
            setp.gt.s32 p0, %3, 88; @p0 st.global.b32 [%1+176], k;
            mul.f32 o48, o48, c0; mul.f32 o49, o49, c0; cvt.rn.f16x2.f32 k, o49, o48;
            setp.gt.s32 p0, %2, 96; @p0 st.global.b32 [%0+192], k;
            mul.f32 o50, o50, c1; mul.f32 o51, o51, c1; cvt.rn.f16x2.f32 k, o51, o50;
            setp.gt.s32 p0, %3, 96; @p0 st.global.b32 [%1+192], k;
            mul.f32 o52, o52, c0; mul.f32 o53, o53, c0; cvt.rn.f16x2.f32 k, o53, o52;
            setp.gt.s32 p0, %2, 104; @p0 st.global.b32 [%0+208], k;
            mul.f32 o54, o54, c1; mul.f32 o55, o55, c1; cvt.rn.f16x2.f32 k, o55, o54;
            setp.gt.s32 p0, %3, 104; @p0 st.global.b32 [%1+208], k;
            mul.f32 o56, o56, c0; mul.f32 o57, o57, c0; cvt.rn.f16x2.f32 k, o57, o56;
            setp.gt.s32 p0, %2, 112; @p0 st.global.b32 [%0+224], k;
            mul.f32 o58, o58, c1; mul.f32 o59, o59, c1; cvt.rn.f16x2.f32 k, o59, o58;
            setp.gt.s32 p0, %3, 112; @p0 st.global.b32 [%1+224], k;
            mul.f32 o60, o60, c0; mul.f32 o61, o61, c0; cvt.rn.f16x2.f32 k, o61, o60;
            setp.gt.s32 p0, %2, 120; @p0 st.global.b32 [%0+240], k;
            mul.f32 o62, o62, c1; mul.f32 o63, o63, c1; cvt.rn.f16x2.f32 k, o63, o62;
            setp.gt.s32 p0, %3, 120; @p0 st.global.b32 [%1+240], k;
        """, row0, row1, columns0, columns1);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Products(int left, int right) => CudaAsm.Emit(
        """
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a0, a1, a2, a3}, [%0];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%1+0];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b4, b5, b6, b7}, [%1+2048];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o0, o1, o2, o3}, {a0, a1, a2, a3}, {b0, b1}, {o0, o1, o2, o3};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o4, o5, o6, o7}, {a0, a1, a2, a3}, {b2, b3}, {o4, o5, o6, o7};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o8, o9, o10, o11}, {a0, a1, a2, a3}, {b4, b5}, {o8, o9, o10, o11};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o12, o13, o14, o15}, {a0, a1, a2, a3}, {b6, b7}, {o12, o13, o14, o15};
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%1+4096];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b4, b5, b6, b7}, [%1+6144];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o16, o17, o18, o19}, {a0, a1, a2, a3}, {b0, b1}, {o16, o17, o18, o19};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o20, o21, o22, o23}, {a0, a1, a2, a3}, {b2, b3}, {o20, o21, o22, o23};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o24, o25, o26, o27}, {a0, a1, a2, a3}, {b4, b5}, {o24, o25, o26, o27};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o28, o29, o30, o31}, {a0, a1, a2, a3}, {b6, b7}, {o28, o29, o30, o31};
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%1+8192];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b4, b5, b6, b7}, [%1+10240];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o32, o33, o34, o35}, {a0, a1, a2, a3}, {b0, b1}, {o32, o33, o34, o35};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o36, o37, o38, o39}, {a0, a1, a2, a3}, {b2, b3}, {o36, o37, o38, o39};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o40, o41, o42, o43}, {a0, a1, a2, a3}, {b4, b5}, {o40, o41, o42, o43};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o44, o45, o46, o47}, {a0, a1, a2, a3}, {b6, b7}, {o44, o45, o46, o47};
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%1+12288];
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b4, b5, b6, b7}, [%1+14336];
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o48, o49, o50, o51}, {a0, a1, a2, a3}, {b0, b1}, {o48, o49, o50, o51};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o52, o53, o54, o55}, {a0, a1, a2, a3}, {b2, b3}, {o52, o53, o54, o55};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o56, o57, o58, o59}, {a0, a1, a2, a3}, {b4, b5}, {o56, o57, o58, o59};
            mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {o60, o61, o62, o63}, {a0, a1, a2, a3}, {b6, b7}, {o60, o61, o62, o63};
        """, left, right);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StartWith(long bias, int columns) => CudaAsm.Emit(
        """
            mov.b32 k, 0; setp.gt.s32 p0, %1, 0; @p0 ld.global.b32 k, [%0+0];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o0, x0; cvt.f32.f16 o1, x1; mov.f32 o2, o0; mov.f32 o3, o1;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 8; @p0 ld.global.b32 k, [%0+16];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o4, x0; cvt.f32.f16 o5, x1; mov.f32 o6, o4; mov.f32 o7, o5;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 16; @p0 ld.global.b32 k, [%0+32];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o8, x0; cvt.f32.f16 o9, x1; mov.f32 o10, o8; mov.f32 o11, o9;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 24; @p0 ld.global.b32 k, [%0+48];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o12, x0; cvt.f32.f16 o13, x1; mov.f32 o14, o12; mov.f32 o15, o13;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 32; @p0 ld.global.b32 k, [%0+64];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o16, x0; cvt.f32.f16 o17, x1; mov.f32 o18, o16; mov.f32 o19, o17;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 40; @p0 ld.global.b32 k, [%0+80];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o20, x0; cvt.f32.f16 o21, x1; mov.f32 o22, o20; mov.f32 o23, o21;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 48; @p0 ld.global.b32 k, [%0+96];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o24, x0; cvt.f32.f16 o25, x1; mov.f32 o26, o24; mov.f32 o27, o25;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 56; @p0 ld.global.b32 k, [%0+112];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o28, x0; cvt.f32.f16 o29, x1; mov.f32 o30, o28; mov.f32 o31, o29;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 64; @p0 ld.global.b32 k, [%0+128];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o32, x0; cvt.f32.f16 o33, x1; mov.f32 o34, o32; mov.f32 o35, o33;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 72; @p0 ld.global.b32 k, [%0+144];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o36, x0; cvt.f32.f16 o37, x1; mov.f32 o38, o36; mov.f32 o39, o37;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 80; @p0 ld.global.b32 k, [%0+160];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o40, x0; cvt.f32.f16 o41, x1; mov.f32 o42, o40; mov.f32 o43, o41;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 88; @p0 ld.global.b32 k, [%0+176];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o44, x0; cvt.f32.f16 o45, x1; mov.f32 o46, o44; mov.f32 o47, o45;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 96; @p0 ld.global.b32 k, [%0+192];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o48, x0; cvt.f32.f16 o49, x1; mov.f32 o50, o48; mov.f32 o51, o49;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 104; @p0 ld.global.b32 k, [%0+208];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o52, x0; cvt.f32.f16 o53, x1; mov.f32 o54, o52; mov.f32 o55, o53;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 112; @p0 ld.global.b32 k, [%0+224];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o56, x0; cvt.f32.f16 o57, x1; mov.f32 o58, o56; mov.f32 o59, o57;
            mov.b32 k, 0; setp.gt.s32 p0, %1, 120; @p0 ld.global.b32 k, [%0+240];
            mov.b32 {x0, x1}, k; cvt.f32.f16 o60, x0; cvt.f32.f16 o61, x1; mov.f32 o62, o60; mov.f32 o63, o61;
        """, bias, columns);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePieces0(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3) => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 k, o1, o0; add.s64 y, %0, %4; setp.gt.s32 p0, %2, 0; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o3, o2; add.s64 y, %1, %4; setp.gt.s32 p0, %3, 0; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o5, o4; add.s64 y, %0, %5; setp.gt.s32 p0, %2, 8; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o7, o6; add.s64 y, %1, %5; setp.gt.s32 p0, %3, 8; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o9, o8; add.s64 y, %0, %6; setp.gt.s32 p0, %2, 16; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o11, o10; add.s64 y, %1, %6; setp.gt.s32 p0, %3, 16; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o13, o12; add.s64 y, %0, %7; setp.gt.s32 p0, %2, 24; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o15, o14; add.s64 y, %1, %7; setp.gt.s32 p0, %3, 24; @p0 st.global.b32 [y], k;
        """, row0, row1, columns0, columns1, piece0, piece1, piece2, piece3);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePieces4(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3) => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 k, o17, o16; add.s64 y, %0, %4; setp.gt.s32 p0, %2, 32; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o19, o18; add.s64 y, %1, %4; setp.gt.s32 p0, %3, 32; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o21, o20; add.s64 y, %0, %5; setp.gt.s32 p0, %2, 40; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o23, o22; add.s64 y, %1, %5; setp.gt.s32 p0, %3, 40; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o25, o24; add.s64 y, %0, %6; setp.gt.s32 p0, %2, 48; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o27, o26; add.s64 y, %1, %6; setp.gt.s32 p0, %3, 48; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o29, o28; add.s64 y, %0, %7; setp.gt.s32 p0, %2, 56; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o31, o30; add.s64 y, %1, %7; setp.gt.s32 p0, %3, 56; @p0 st.global.b32 [y], k;
        """, row0, row1, columns0, columns1, piece0, piece1, piece2, piece3);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePieces8(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3) => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 k, o33, o32; add.s64 y, %0, %4; setp.gt.s32 p0, %2, 64; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o35, o34; add.s64 y, %1, %4; setp.gt.s32 p0, %3, 64; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o37, o36; add.s64 y, %0, %5; setp.gt.s32 p0, %2, 72; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o39, o38; add.s64 y, %1, %5; setp.gt.s32 p0, %3, 72; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o41, o40; add.s64 y, %0, %6; setp.gt.s32 p0, %2, 80; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o43, o42; add.s64 y, %1, %6; setp.gt.s32 p0, %3, 80; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o45, o44; add.s64 y, %0, %7; setp.gt.s32 p0, %2, 88; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o47, o46; add.s64 y, %1, %7; setp.gt.s32 p0, %3, 88; @p0 st.global.b32 [y], k;
        """, row0, row1, columns0, columns1, piece0, piece1, piece2, piece3);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePieces12(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3) => CudaAsm.Emit(
        """
            cvt.rn.f16x2.f32 k, o49, o48; add.s64 y, %0, %4; setp.gt.s32 p0, %2, 96; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o51, o50; add.s64 y, %1, %4; setp.gt.s32 p0, %3, 96; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o53, o52; add.s64 y, %0, %5; setp.gt.s32 p0, %2, 104; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o55, o54; add.s64 y, %1, %5; setp.gt.s32 p0, %3, 104; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o57, o56; add.s64 y, %0, %6; setp.gt.s32 p0, %2, 112; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o59, o58; add.s64 y, %1, %6; setp.gt.s32 p0, %3, 112; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o61, o60; add.s64 y, %0, %7; setp.gt.s32 p0, %2, 120; @p0 st.global.b32 [y], k;
            cvt.rn.f16x2.f32 k, o63, o62; add.s64 y, %1, %7; setp.gt.s32 p0, %3, 120; @p0 st.global.b32 [y], k;
        """, row0, row1, columns0, columns1, piece0, piece1, piece2, piece3);
}
