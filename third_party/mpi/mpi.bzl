"""Finds Open MPI: the folder MPI_HOME (include/ and lib/), else Debian's libopenmpi-dev."""

_BUILD = """
cc_library(
    name = "mpi",
    hdrs = glob(["include/**/*.h"]),
    includes = ["include"],
    linkopts = [%{linkopts}],
    visibility = ["//visibility:public"],
)
"""

def _mpi_repository_impl(ctx):
    home = ctx.os.environ.get("MPI_HOME", "")
    debian = "/usr/lib/x86_64-linux-gnu/openmpi"
    path = ctx.path(home or debian)
    if not ctx.path(str(path) + "/include/mpi.h").exists:
        fail("No mpi.h in %s/include. Install libopenmpi-dev, or set MPI_HOME to an Open MPI 4.1 folder." % path)
    ctx.symlink(path.get_child("include"), "include")
    lib = str(path.get_child("lib"))
    linkopts = '"-L%s", "-Wl,-rpath,%s", "-lmpi"' % (lib, lib) if home else '"-L%s", "-lmpi"' % lib
    ctx.file("BUILD.bazel", _BUILD.replace("%{linkopts}", linkopts))

mpi_repository = repository_rule(
    implementation = _mpi_repository_impl,
    environ = ["MPI_HOME"],
    local = True,
)
