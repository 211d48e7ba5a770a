#include "tools/stowage/command_line.h"

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
