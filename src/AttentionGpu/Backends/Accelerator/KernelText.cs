using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using ILGPU.Backends;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Makes the text of a kernel the same in every process. ILGPU ends names in numbers that it counts over all compilations of a process:
/// whatever was compiled before, or is compiled beside, would be in the text, and a driver's cache on disk, which goes by the text, would
/// find nothing after a restart.
/// </summary>
internal static partial class KernelText
{
    /// <summary>Numbers the names in the text of a kernel from 0 on; a kernel that is no text stays as it is.</summary>
    public static void Renumber(CompiledKernel kernel)
    {
        switch (kernel)
        {
            case PTXCompiledKernel ptx:
                Text(ptx) = Renumber(ptx.PTXAssembly);
                break;
            case CLCompiledKernel openCL:
                Text(openCL) = Renumber(openCL.Source);
                break;
        }
    }

    /// <summary>The text with other numbers at the end of names; lines that name a device or an extension keep theirs.</summary>
    public static string Renumber(string text)
    {
        var names = new Dictionary<string, string>();
        return NumberedName().Replace(text, match =>
        {
            if (!match.Groups["name"].Success)
                return match.Value;
            if (!names.TryGetValue(match.Value, out string? name))
                names.Add(match.Value, name = match.Groups["name"].Value + names.Count.ToString(CultureInfo.InvariantCulture));
            return name;
        });
    }

    [GeneratedRegex(@"^[ \t]*(?:\.target|#pragma).*$|\b(?<name>[A-Za-z_]\w*?_)[0-9]+\b", RegexOptions.Multiline)]
    private static partial Regex NumberedName();

    // ILGPU makes kernels of texts of its own only.
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<PTXAssembly>k__BackingField")]
    private static extern ref string Text(PTXCompiledKernel kernel);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<Source>k__BackingField")]
    private static extern ref string Text(CLCompiledKernel kernel);
}
