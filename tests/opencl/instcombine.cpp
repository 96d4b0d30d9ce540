// PoCL 6 asks LLVM for the pass "instcombine" by name. From LLVM 18 on that name includes a check that one round of the pass leaves nothing to
// do, meant for LLVM's own tests; where a kernel needs two, the check ends the process ("Instruction Combining did not reach a fixpoint").
// Preloaded into the process, this asks for the pass without the check.
#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// As llvm::StringRef and llvm::Error are passed: by value, and through a hidden address because of the destructor.
struct StringRef {
    const char *data;
    size_t length;
};

struct Error {
    void *payload;
    Error(Error &&other) : payload(other.payload) { other.payload = nullptr; }
    ~Error() {}
};

using Parse = Error (*)(void *builder, void *manager, StringRef pipeline);

// llvm::Error llvm::PassBuilder::parsePassPipeline(llvm::ModulePassManager &, llvm::StringRef)
#define PARSE _ZN4llvm11PassBuilder17parsePassPipelineERNS_11PassManagerINS_6ModuleENS_15AnalysisManagerIS2_JEEEJEEENS_9StringRefE
#define QUOTE(text) #text
#define NAME_OF(symbol) QUOTE(symbol)

// LLVM is loaded for PoCL alone, so its symbols are not among those of the process.
int find(dl_phdr_info *library, size_t, void *found) {
    if (std::strstr(library->dlpi_name, "libLLVM") == nullptr)
        return 0;
    void *handle = dlopen(library->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = handle == nullptr ? nullptr : dlsym(handle, NAME_OF(PARSE));
    *static_cast<void **>(found) = symbol;
    return symbol != nullptr;
}

Parse original() {
    void *symbol = nullptr;
    dl_iterate_phdr(find, &symbol);
    if (symbol == nullptr)
        std::abort();
    return reinterpret_cast<Parse>(symbol);
}

}  // namespace

extern "C" Error PARSE(void *builder, void *manager, StringRef pipeline) {
    static const Parse parse = original();
    const std::string name = "instcombine";
    std::string text(pipeline.data, pipeline.length);
    for (size_t at = 0; (at = text.find(name, at)) != std::string::npos;) {
        at += name.size();
        if (at == text.size() || text[at] == ',' || text[at] == ')')
            text.insert(at, "<no-verify-fixpoint>");
    }

    return parse(builder, manager, {text.data(), text.size()});
}
