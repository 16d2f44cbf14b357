// The check of a fuzz target: like assert(), but there in every build.
#ifndef FORKNET_FUZZ_EXPECT_H_
#define FORKNET_FUZZ_EXPECT_H_

#include <cstdlib>
#include <iostream>

namespace forknet {

/** Ends the process when `holds` is false, which libFuzzer reports with the input. */
inline void Expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "expected that " << what << "\n";
  std::abort();
}

}  // namespace forknet

#endif  // FORKNET_FUZZ_EXPECT_H_
