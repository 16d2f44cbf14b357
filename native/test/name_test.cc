// Which link names and aliases are accepted.
#include "name.h"

#include <doctest/doctest.h>

#include <string>

namespace forknet {
namespace {

TEST_CASE("fifteen bytes pass, sixteen and none do not") {
  CHECK(ValidLinkName("a"));
  CHECK(ValidLinkName(std::string(15, 'a')));
  CHECK_FALSE(ValidLinkName(std::string(16, 'a')));
  CHECK_FALSE(ValidLinkName(""));
}

TEST_CASE("bytes count, not characters") {
  CHECK(ValidLinkName("\xc3\xa9t\xc3\xa9"));
  CHECK_FALSE(
      ValidLinkName("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"));
}

TEST_CASE("what the kernel refuses, cuts or expands") {
  for (const char* name :
       {".", "..", "a/b", "a b", "a\tb", "a\nb", "a:1", "tap%d", "a\x7f", "a\xa0"}) {
    CAPTURE(name);
    CHECK_FALSE(ValidLinkName(name));
  }
  CHECK_FALSE(ValidLinkName(std::string("tap\0x", 5)));
  CHECK(ValidLinkName("..."));
  CHECK(ValidLinkName("fk-0123.4_a@b"));
}

TEST_CASE("an alias has up to 255 bytes") {
  CHECK(ValidAlias(""));
  CHECK(ValidAlias(std::string(255, 'a')));
  CHECK_FALSE(ValidAlias(std::string(256, 'a')));
  CHECK_FALSE(ValidAlias(std::string("a\0b", 3)));
}

}  // namespace
}  // namespace forknet
