"""Finds LibTorch: the folder STOWAGE_LIBTORCH (it holds include/ and lib/), which tools/setup writes to .bazelrc.local."""

_BUILD = """
cc_library(
    name = "libtorch",
    hdrs = glob(["include/**/*.h", "include/**/*.hpp"], exclude = ["include/torch/csrc/python_headers.h"]),
    includes = ["include", "include/torch/csrc/api/include"],
    # Linked by path and not as srcs: Bazel would load the libraries through its own folder of links, where
    # their RPATH ($ORIGIN/../../nvidia/cu13/lib, $ORIGIN) finds neither the CUDA runtime nor their own libgomp.
    # Only the CPU half: libtorch_cuda is never linked by the CPU program.
    linkopts = [
        "-L%{lib}", "-Wl,--no-as-needed", "-ltorch_cpu", "-lc10",
        "-Wl,--disable-new-dtags", "-Wl,-rpath,%{lib}", %{extra},
    ],
    visibility = ["//visibility:public"],
)
"""

def _libtorch_repository_impl(ctx):
    home = ctx.os.environ.get("STOWAGE_LIBTORCH", "")
    if not home:
        fail("STOWAGE_LIBTORCH is not set. Run ./tools/setup (it downloads LibTorch 2.11.0 and writes .bazelrc.local), " +
             "or pass --repo_env=STOWAGE_LIBTORCH=<folder that holds include/ and lib/>.")
    path = ctx.path(home)
    for needed in ["include/ATen/ATen.h", "lib/libtorch_cpu.so", "lib/libc10.so"]:
        if not ctx.path(home + "/" + needed).exists:
            fail("STOWAGE_LIBTORCH=%s has no %s: it must be a LibTorch 2.11.0 folder (include/ and lib/)." % (home, needed))
    ctx.symlink(path.get_child("include"), "include")
    lib = str(path.get_child("lib").realpath)
    extra = ['"-Wl,-rpath-link,%s"' % d for d in [lib + "/../../nvidia/cu13/lib", "/usr/local/cuda/lib64"]]
    ctx.file("BUILD.bazel", _BUILD.replace("%{lib}", lib).replace("%{extra}", ", ".join(extra)))

libtorch_repository = repository_rule(
    implementation = _libtorch_repository_impl,
    environ = ["STOWAGE_LIBTORCH"],
    local = True,
)
