// The `stowage` command: subcommands, one file each, behind one help, one way to fail and one set of exit codes.
//
// A program with commands of its own adds to Commands() and calls RunCommandLine.
#ifndef STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_
#define STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_

#include <vector>

#include "tools/stowage/command.h"
#include "trainer/run/own_kinds.h"

namespace stowage {

// train, eval, sample, prepare, export, config, doctor, version.
std::vector<Command> Commands(const OwnKinds& own = {});

// Parses and runs one of `commands`; the exit code (base/exit_code.h). Help goes to stdout. A command line that is not
// understood: one line on stderr and kExitUsage; under a launcher rank 0 speaks and all ranks end together.
// The help tells of `own` too.
int RunCommandLine(int argc, char** argv, const std::vector<Command>& commands, const OwnKinds& own = {});

// What main returns in a program with models and data of its own (docs/library.md): the `stowage` command, for which
// `model: {kind: ...}` and `data: {source: ...}` know them too.
//
//   int main(int argc, char** argv) { return stowage::Main(argc, argv, {{"my_net", MakeMyNet}}); }
//
// kExitUsage: a name that is built in already.
int Main(int argc, char** argv, const ModelKinds& models = {}, const DataSources& data = {});

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_
