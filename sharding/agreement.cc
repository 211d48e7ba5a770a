#include "sharding/agreement.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

// The wire: these words as they lie in memory (all ranks run the same program on the same kind of machine), then the
// trouble.
struct FixedWords {
  double loss_sum;
  int64_t tokens;
  int64_t judged;
  int64_t correct;
  double sum_of_squares;
  int64_t non_finite;
  int64_t stop_signal;
  int64_t save_wanted;
};
static_assert(sizeof(FixedWords) == 64, "no padding may travel");

absl::string_view CutTrouble(absl::string_view text) {
  if (text.size() <= kTroubleBytes) return text;
  size_t end = kTroubleBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a UTF-8 character
  return text.substr(0, end);
}

// "8:out of memory"; empty: OK.
std::string EncodeStatus(const absl::Status& status) {
  return status.ok() ? std::string() : absl::StrCat(static_cast<int>(status.code()), ":", status.message());
}

// `what` is what was encoded; the result, whether it was a status at all.
absl::Status DecodeStatus(const std::string& wire, int rank, absl::Status* what) {
  *what = absl::OkStatus();
  if (wire.empty()) return absl::OkStatus();
  const std::vector<std::string> code_and_message = absl::StrSplit(wire, absl::MaxSplits(':', 1));
  int code = 0;
  if (code_and_message.size() != 2 || !absl::SimpleAtoi(code_and_message[0], &code)) {
    return absl::InternalError(absl::StrCat(
        "rank ", rank, " sent no status where one belongs: its sequence of collectives differs from ours"));
  }
  *what = absl::Status(static_cast<absl::StatusCode>(code), code_and_message[1]);
  return absl::OkStatus();
}

std::string Encode(const AgreementWords& words) {
  const FixedWords fixed = {words.loss_sum,   words.tokens,      words.judged,     words.correct, words.sum_of_squares,
                            words.non_finite, words.stop_signal, words.save_wanted};
  std::string wire(sizeof(fixed), '\0');
  std::memcpy(&wire[0], &fixed, sizeof(fixed));
  return wire + EncodeStatus(absl::Status(words.trouble.code(), CutTrouble(words.trouble.message())));
}

absl::StatusOr<AgreementWords> Decode(const std::string& wire, int rank) {
  FixedWords fixed;
  if (wire.size() < sizeof(fixed)) {
    return absl::InternalError(absl::StrCat("agree: rank ", rank, " sent ", wire.size(), " bytes where at least ",
                                            sizeof(fixed), " belong: its sequence of collectives differs from ours"));
  }
  std::memcpy(&fixed, wire.data(), sizeof(fixed));
  AgreementWords words;
  words.loss_sum = fixed.loss_sum;
  words.tokens = fixed.tokens;
  words.judged = fixed.judged;
  words.correct = fixed.correct;
  words.sum_of_squares = fixed.sum_of_squares;
  words.non_finite = fixed.non_finite;
  words.stop_signal = fixed.stop_signal;
  words.save_wanted = fixed.save_wanted;
  STOWAGE_RETURN_IF_ERROR(DecodeStatus(wire.substr(sizeof(fixed)), rank, &words.trouble));
  return words;
}

void Take(const AgreementWords& words, int rank, AgreementVerdict& verdict) {
  verdict.loss_sum += words.loss_sum;
  verdict.tokens += words.tokens;
  verdict.judged += words.judged;
  verdict.correct += words.correct;
  verdict.sum_of_squares += words.sum_of_squares;
  verdict.non_finite += words.non_finite;
  verdict.stop_signal = std::max(verdict.stop_signal, words.stop_signal);
  if (rank == 0) verdict.save_wanted = words.save_wanted != 0;
  if (verdict.trouble_rank < 0 && !words.trouble.ok()) {
    verdict.trouble_rank = rank;
    verdict.trouble = words.trouble;
  }
}

}  // namespace

absl::StatusOr<AgreementVerdict> Agree(Communicator& communicator, const AgreementWords& mine) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> all, communicator.ExchangeText(Encode(mine)));
  AgreementVerdict verdict;
  for (int rank = 0; rank < static_cast<int>(all.size()); ++rank) {
    STOWAGE_ASSIGN_OR_RETURN(const AgreementWords words, Decode(all[rank], rank));
    Take(words, rank, verdict);
  }
  return verdict;
}

absl::Status AgreeOnStatus(Communicator& communicator, const absl::Status& mine) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> all, communicator.ExchangeText(EncodeStatus(mine)));
  if (all.size() == 1) return mine;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    absl::Status theirs;
    STOWAGE_RETURN_IF_ERROR(DecodeStatus(all[rank], static_cast<int>(rank), &theirs));
    if (!theirs.ok()) return Annotate(theirs, absl::StrCat("rank ", rank));
  }
  return absl::OkStatus();
}

}  // namespace stowage
