// Files and folders with errors that say what was wanted: path, bytes, place, and the system's reason.
//
// Every function returns absl::Status: NotFound (ENOENT, ENOTDIR), PermissionDenied (EACCES, EPERM, EROFS),
// AlreadyExists (EEXIST), ResourceExhausted (ENOSPC, EDQUOT, EFBIG: the disk, the quota or `ulimit -f` is at its
// end), DataLoss (EIO, or a file shorter than what is read from it), Internal for the rest.
//
// `ulimit -f` sends SIGXFSZ before EFBIG is returned: a program that wants the Status ignores that signal.
#ifndef STOWAGE_BASE_FILE_H_
#define STOWAGE_BASE_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file_descriptor.h"

namespace stowage {

// A status for a failed system call: "PATH: cannot WHAT: REASON", with the code that the table above gives `error`
// (an errno value).
absl::Status FileError(absl::string_view path, absl::string_view what, int error);

// The whole file. For small ones: configs, manifests, reports.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// `contents` under `path`, all or nothing: written aside, synced, renamed, folder synced. After an error the file that
// was there before is untouched.
absl::Status WriteFileDurably(const std::string& path, absl::string_view contents);

// Makes `path` and what is missing above it. OK if it is there already (also when another process made it meanwhile).
absl::Status MakeFolders(const std::string& path);

// Removes a file, or a folder with all that is in it; links are removed, not followed. OK if there is none.
absl::Status RemoveTree(const std::string& path);

// Names in a folder, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path);

bool PathExists(const std::string& path);
absl::StatusOr<int64_t> FileBytes(const std::string& path);

// Puts the folder's own entries (names made, renamed, removed) on disk.
absl::Status SyncFolder(const std::string& path);

// Renames and syncs the folder of `to`.
absl::Status RenameDurably(const std::string& from, const std::string& to);

// A file that is written from front to back. Not thread-safe.
class OutputFile {
 public:
  // An empty file, whether or not there was one.
  static absl::StatusOr<OutputFile> Create(const std::string& path);
  // Continues after the first `keep_bytes` bytes of a file (made if missing); the rest is cut off.
  // `keep_bytes` < 0 keeps all.
  static absl::StatusOr<OutputFile> Continue(const std::string& path, int64_t keep_bytes = -1);

  // The destructor closes; an error is lost then, so call Close.

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }  // of the file so far

  // Hands `bytes` bytes to the system. After an error a part of them may be in the file.
  absl::Status Append(const void* data, int64_t bytes);
  absl::Status Append(absl::string_view data) { return Append(data.data(), static_cast<int64_t>(data.size())); }

  // All or nothing: what a failed write left is cut off again, so that a file of records stays a file of records and
  // the next call can succeed once there is room.
  absl::Status AppendRecord(absl::string_view record);

  absl::Status Sync();   // fsync: contents are on disk
  absl::Status Close();  // further calls are bugs

 private:
  OutputFile(std::string path, FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  FileDescriptor file_;
  int64_t bytes_ = 0;
};

// A file that is read by ranges. Thread-safe.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }  // when it was opened

  // `bytes` bytes from `offset` on into `to`. DataLoss: the file ends before.
  absl::Status Read(int64_t offset, int64_t bytes, void* to) const;

 private:
  InputFile(std::string path, FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  FileDescriptor file_;
  int64_t bytes_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_FILE_H_
