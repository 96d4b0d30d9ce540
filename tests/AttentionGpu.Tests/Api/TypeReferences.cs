using System.Reflection;
using System.Reflection.Emit;

namespace AttentionGpu.Tests.Api;

/// <summary>What a type refers to: in its declaration, its members' signatures, and its methods' code.</summary>
internal static class TypeReferences
{
    private const BindingFlags All =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> _codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    /// <summary>All types that a type refers to, generic arguments and elements of arrays included.</summary>
    public static IEnumerable<Type> Of(Type type)
    {
        var found = new HashSet<Type>();
        Add(type.BaseType);
        foreach (Type contract in type.GetInterfaces())
            Add(contract);
        foreach (FieldInfo field in type.GetFields(All))
            Add(field.FieldType);
        foreach (MethodBase method in Methods(type))
        {
            Add((method as MethodInfo)?.ReturnType);
            foreach (ParameterInfo parameter in method.GetParameters())
                Add(parameter.ParameterType);
            foreach (LocalVariableInfo local in method.GetMethodBody()?.LocalVariables ?? [])
                Add(local.LocalType);
            foreach (MemberInfo member in Calls(method))
            {
                Add(member as Type ?? member.DeclaringType);
                if (member is MethodInfo { IsGenericMethod: true } generic)
                    Array.ForEach(generic.GetGenericArguments(), Add);
            }
        }

        return found;

        void Add(Type? other)
        {
            if (other is null || other.IsGenericParameter)
                return;
            if (other.HasElementType)
            {
                Add(other.GetElementType());
                return;
            }

            if (other.IsConstructedGenericType)
                Array.ForEach(other.GetGenericArguments(), Add);
            found.Add(other.IsGenericType ? other.GetGenericTypeDefinition() : other);
        }
    }

    /// <summary>The methods and constructors that a type declares.</summary>
    public static IEnumerable<MethodBase> Methods(Type type) => [.. type.GetMethods(All), .. type.GetConstructors(All)];

    /// <summary>The members and types that a method's code names.</summary>
    public static IReadOnlyCollection<MemberInfo> Calls(MethodBase method)
    {
        var found = new HashSet<MemberInfo>();
        byte[] code = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        Type[]? typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        Type[]? methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int position = 0; position < code.Length;)
        {
            const byte twoBytes = 0xFE;
            short value = code[position] == twoBytes ? (short)(twoBytes << 8 | code[++position]) : code[position];
            position++;
            OpCode operation = _codes[value];
            switch (operation.OperandType)
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    found.Add(method.Module.ResolveMember(BitConverter.ToInt32(code, position), typeArguments, methodArguments)!);
                    position += sizeof(int);
                    break;
                case OperandType.InlineSwitch:
                    position += sizeof(int) * (1 + BitConverter.ToInt32(code, position));
                    break;
                default:
                    position += SizeOf(operation.OperandType);
                    break;
            }
        }

        return found;
    }

    private static int SizeOf(OperandType operand) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => sizeof(short),
        OperandType.InlineI8 or OperandType.InlineR => sizeof(long),
        _ => sizeof(int),
    };
}
