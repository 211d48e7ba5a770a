// One subcommand of a program. Plain data.
#ifndef STOWAGE_TOOLS_STOWAGE_COMMAND_H_
#define STOWAGE_TOOLS_STOWAGE_COMMAND_H_

#include <functional>
#include <string>

#include "trainer/run/own_kinds.h"

namespace CLI {
class App;
}

namespace stowage {

struct Command {
  std::string name;     // "train"
  std::string summary;  // one line, for the list of commands
  std::string lesson;   // after the options in the command's own help: how it is used, with examples

  // Declares options on the subcommand's parser, once; the values' storage belongs to the function it returns, which
  // runs the command after parsing and returns the exit code. (It holds them by shared_ptr: std::function is copied,
  // and the parser keeps their addresses.)
  std::function<std::function<int()>(CLI::App&)> declare;
};

// One file each: NAME_command.cc.
// `own`: what the program brings besides what is built in.
Command TrainCommand(const OwnKinds& own = {});
Command PlanCommand(const OwnKinds& own = {});
Command EvalCommand(const OwnKinds& own = {});
Command SampleCommand(const OwnKinds& own = {});
Command PrepareCommand();
Command ExportCommand();
Command CalibrateCommand();
Command DoctorCommand();
Command ConfigCommand(const OwnKinds& own = {});
Command VersionCommand();

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_COMMAND_H_
