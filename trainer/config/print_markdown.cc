// Prints docs/config.md.
#include <iostream>

#include "trainer/config/load.h"

int main() {
  std::cout << stowage::ConfigMarkdown();
  return std::cout.good() ? 0 : 1;
}
