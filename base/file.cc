#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace stowage {
namespace fs = std::filesystem;
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    case EIO:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

std::string FolderOf(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Linux hands over at most 0x7ffff000 bytes a call; some network file systems fail on far less than that but all
// take this much.
constexpr int64_t kMostBytesACall = int64_t{1} << 30;

}  // namespace

absl::Status FileError(absl::string_view path, absl::string_view what, int error) {
  return absl::Status(CodeOf(error), absl::StrCat(path, ": cannot ", what, ": ", std::strerror(error)));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
  std::string contents(static_cast<size_t>(file.bytes()), '\0');
  STOWAGE_RETURN_IF_ERROR(file.Read(0, file.bytes(), contents.data()));
  return contents;
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view contents) {
  const std::string aside = absl::StrCat(path, ".partial-", getpid());
  const absl::Status status = [&]() -> absl::Status {
    STOWAGE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(aside));
    STOWAGE_RETURN_IF_ERROR(file.Append(contents));
    STOWAGE_RETURN_IF_ERROR(file.Sync());
    STOWAGE_RETURN_IF_ERROR(file.Close());
    return RenameDurably(aside, path);
  }();
  if (!status.ok()) unlink(aside.c_str());
  return status;
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  // A file of that name makes create_directories fail on some library versions and succeed on others.
  if (!error && !fs::is_directory(path, error) && !error) error = std::make_error_code(std::errc::file_exists);
  if (error) return FileError(path, "make this folder", error.value());
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return FileError(path, "remove", error.value());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return FileError(path, "list this folder", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

bool PathExists(const std::string& path) {
  struct stat about;
  return lstat(path.c_str(), &about) == 0;
}

absl::StatusOr<int64_t> FileBytes(const std::string& path) {
  struct stat about;
  if (stat(path.c_str(), &about) != 0) return FileError(path, "look at this file", errno);
  return static_cast<int64_t>(about.st_size);
}

absl::Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "open this folder", errno);
  absl::Status status;
  // Some file systems cannot sync a folder and say EINVAL: their renames are as durable as they get.
  if (fsync(fd) != 0 && errno != EINVAL) status = FileError(path, "sync this folder", errno);
  close(fd);
  return status;
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return FileError(from, absl::StrCat("rename to ", to), errno);
  return SyncFolder(FolderOf(to));
}

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path) { return Continue(path, 0); }

absl::StatusOr<OutputFile> OutputFile::Continue(const std::string& path, int64_t keep_bytes) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (keep_bytes == 0 ? O_TRUNC : 0);
  OutputFile file(path, FileDescriptor(open(path.c_str(), flags, 0644)));
  if (!file.file_.is_open()) return FileError(path, "open for writing", errno);
  const int fd = file.file_.get();
  if (keep_bytes > 0 && ftruncate(fd, keep_bytes) != 0) {
    return FileError(path, absl::StrCat("cut to ", keep_bytes, " bytes"), errno);
  }
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return FileError(path, "find its end", errno);
  file.bytes_ = end;
  return file;
}

absl::Status OutputFile::Append(const void* data, int64_t bytes) {
  STOWAGE_CHECK(file_.is_open()) << path_ << " is closed";
  const char* at = static_cast<const char*>(data);
  int64_t left = bytes;
  while (left > 0) {
    const ssize_t written = write(file_.get(), at, static_cast<size_t>(std::min(left, kMostBytesACall)));
    if (written < 0) {
      if (errno == EINTR) continue;
      return FileError(path_, absl::StrCat("write ", left, " of ", bytes, " bytes at offset ", bytes_), errno);
    }
    at += written;
    left -= written;
    bytes_ += written;
  }
  return absl::OkStatus();
}

absl::Status OutputFile::AppendRecord(absl::string_view record) {
  const int64_t before = bytes_;
  const absl::Status status = Append(record);
  if (status.ok() || bytes_ == before) return status;
  if (ftruncate(file_.get(), before) != 0 || lseek(file_.get(), before, SEEK_SET) < 0) {
    return Annotate(FileError(path_, "cut off the torn end", errno), status.message());
  }
  bytes_ = before;
  return status;
}

absl::Status OutputFile::Sync() {
  STOWAGE_CHECK(file_.is_open()) << path_ << " is closed";
  if (fsync(file_.get()) != 0) return FileError(path_, absl::StrCat("sync its ", bytes_, " bytes to disk"), errno);
  return absl::OkStatus();
}

absl::Status OutputFile::Close() {
  STOWAGE_CHECK(file_.is_open()) << path_ << " is closed";
  // Network file systems report a full disk or quota as late as here. The descriptor is gone even then.
  if (file_.Close() != 0) {
    return FileError(path_, absl::StrCat("close after ", bytes_, " bytes"), errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  InputFile file(path, FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  if (!file.file_.is_open()) return FileError(path, "open for reading", errno);
  struct stat about;
  if (fstat(file.file_.get(), &about) != 0) return FileError(path, "look at this file", errno);
  if (S_ISDIR(about.st_mode)) return FileError(path, "read", EISDIR);
  file.bytes_ = about.st_size;
  return file;
}

absl::Status InputFile::Read(int64_t offset, int64_t bytes, void* to) const {
  STOWAGE_CHECK(file_.is_open() && offset >= 0 && bytes >= 0) << path_ << " offset " << offset << " bytes " << bytes;
  char* at = static_cast<char*>(to);
  int64_t left = bytes;
  while (left > 0) {
    const ssize_t got = pread(file_.get(), at, static_cast<size_t>(std::min(left, kMostBytesACall)), offset + (bytes - left));
    if (got < 0) {
      if (errno == EINTR) continue;
      return FileError(path_, absl::StrCat("read ", bytes, " bytes at offset ", offset), errno);
    }
    if (got == 0) {
      return absl::DataLossError(
          absl::StrCat(path_, ": ends at byte ", offset + (bytes - left), ", wanted ", bytes, " bytes from ", offset));
    }
    at += got;
    left -= got;
  }
  return absl::OkStatus();
}

}  // namespace stowage
