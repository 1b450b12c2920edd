// layout_facts.h - everything that two separately built programs must agree on, as a list of facts: the size, alignment
// and field offsets of every shared struct, the values of every shared enum, the encodings of messages.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::abi {

// A fact is a line of text: what a person compares when the digest differs.
class Facts {
 public:
  void Add(const std::string& name, uint64_t value) { text_ += name + " " + std::to_string(value) + "\n"; }
  [[nodiscard]] const std::string& text() const { return text_; }

  // FNV-1a, 64 bits.
  [[nodiscard]] uint64_t Digest() const {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text_) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return hash;
  }

 private:
  std::string text_;
};

// Of the region, its rings and the control socket.
Facts AllFacts();

}  // namespace sluice::abi
