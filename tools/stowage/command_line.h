// The `stowage` command: subcommands, one file each, behind one help, one way to fail and one set of exit codes.
//
// A program with commands of its own adds to Commands() and calls RunCommandLine.
#ifndef STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_
#define STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_

#include <vector>

#include "tools/stowage/command.h"

namespace stowage {

// train, eval, sample, prepare, config, version.
std::vector<Command> Commands();

// Parses and runs one of `commands`; the exit code (base/exit_code.h). Help goes to stdout. A command line that is not
// understood: one line on stderr and kExitUsage; under a launcher rank 0 speaks and all ranks end together.
int RunCommandLine(int argc, char** argv, const std::vector<Command>& commands);

// RunCommandLine with Commands().
int Main(int argc, char** argv);

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_COMMAND_LINE_H_
