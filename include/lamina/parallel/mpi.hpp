/// Ranks that are processes, on one machine or many, through the system's MPI: mpirun -np 4 program, or srun. A program that includes it links MPI: MPI::MPI_CXX in CMake.
#pragma once
#if !defined(OMPI_SKIP_MPICXX)
#define OMPI_SKIP_MPICXX 1        // MPI's own classes for C++, which nobody uses
#endif
#if !defined(MPICH_SKIP_MPICXX)
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <memory>

#include "end_process.hpp"
#include "last_words.hpp"
#include "operations.hpp"

namespace lamina {

/// Options of Mpi.
struct MpiOptions {
  /// Seconds that ranks wait for one that does not come or does not answer, at their beginning too: more than any of them works alone.
  double deadline = 60;
};

namespace detail {

/// All that a rank says goes by messages from one rank to one other, of which none is waited for in MPI itself: so a rank that is gone, stopped or elsewhere is noticed. Memory of the caller is
/// copied before it travels, so that nothing late is ever written to what is somebody else's by then.
class MpiRanks {
 public:
  [[gnu::cold]] explicit MpiRanks(const MpiOptions& options) : deadline_(options.deadline) {
    if (!(deadline_ > 0) || !std::isfinite(deadline_)) throw Error("a deadline of ", deadline_, " seconds: give a number above 0");
    int ended = 0, begun = 0, threads = 0;
    MPI_Finalized(&ended);
    if (ended) throw Error("MPI has been ended, and begins only once in a program: make one Mpi, and keep it");
    MPI_Initialized(&begun);
    if (begun) MPI_Query_thread(&threads);
    else begin_mpi(&threads);
    ours_ = !begun;
    if (threads < MPI_THREAD_SERIALIZED) throw Error("this MPI may not be called by several threads in turn: begin it with MPI_THREAD_SERIALIZED, or take one that can do that");
    processes_.watch(rank_, meet_all());
    const auto ranks = std::size_t(size_);
    wanted_.resize(ranks), heard_.resize(ranks);
    requests_.reserve(2 * ranks), partner_.reserve(2 * ranks);
    if (size_ > 1) mine_.resize(round), theirs_.resize(round + ranks * 32 * sizeof(double)), last_words_ = std::make_unique<LastWords>(rank_, processes_);
  }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  void perform(const Request& work) {
    const std::lock_guard alone(calls_);
    if (!failure_.empty()) give_up(work.operation);
    now_ = work.operation, inside_ = true;
    if (last_words_) last_words_->say("in " + words(now_));
    meet();
    switch (now_.action) {
      case Action::all_reduce_floats: all_reduce(reinterpret_cast<float*>(work.out), Index(now_.bytes / sizeof(float))); break;
      case Action::all_reduce_doubles: all_reduce(reinterpret_cast<double*>(work.out), Index(now_.bytes / sizeof(double))); break;
      case Action::broadcast: broadcast(work.out); break;
      case Action::all_gather: all_gather(work.in, work.out); break;
      case Action::barrier: break;
      case Action::work_together: break;      // is for ranks in one process
    }
    inside_ = false;
    if (last_words_) last_words_->say("after " + words(now_));
  }

  void abort(std::string_view reason) noexcept {
    {
      const std::lock_guard lock(stopping_);
      if (!stopped_) reason_ = reason.empty() ? "no reason is given" : reason;
      stopped_ = true;
    }
    const std::lock_guard alone(calls_);          // a perform() that waits sees that it is stopped
    if (failure_.empty()) note_failure(own_reason());
  }

  /// Whether all went well and MPI has ended here. If not this must stay, since messages may be under way, until the process ends.
  [[gnu::cold]] bool end() noexcept {
    if (failure_.empty() && std::uncaught_exceptions() > exceptions_) abort("an exception ends it");
    Request end{{Action::barrier, 0, 0, "the end"}};
    end.operation.number = now_.number + 1;
    try {
      if (failure_.empty()) perform(end);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    if (!failure_.empty()) return false;
    if (last_words_) last_words_->be_silent();
    MPI_Comm_free(&comm_);
    if (ours_) MPI_Finalize();
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  enum Tag { part_tag = 1, notice_tag };
  enum class Kind : std::int32_t { gave_up, late, farewell };
  struct Notice {
    Kind kind;
    char reason[700];
  };
  struct Heard { bool late = false, farewell = false, silent = false; };
  static constexpr std::size_t round = std::size_t(1) << 20;      // bytes of a span that are on their way at a time: what is copied and added stays in the second cache

  static Clock::duration seconds(double s) { return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s)); }
  /// How long a rank whose patience is at its end listens who else is there.
  double grace() const { return std::min(deadline_ / 4, 2.0); }

  // --- the beginning
  /// MPI waits in it for all ranks, and nothing comes back that could be told.
  [[gnu::cold]] void begin_mpi(int* threads) const {
    const EndsInTime patience(deadline_,
                              sentence({"MPI did not begin within ", deadline_, " s: not all ranks have come to it, so this one ends; look at what they do before their lamina::Mpi, or give it a longer deadline\n"}));
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, threads);
  }
  /// Finds out who there is, in a communicator of our own.
  [[gnu::cold]] std::vector<ProcessPlace> meet_all() {
    struct Beginning { MPI_Comm comm = MPI_COMM_NULL; ProcessPlace here = ProcessPlace::here(); std::vector<ProcessPlace> places; };
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    auto beginning = std::make_unique<Beginning>();
    beginning->places.resize(std::size_t(size_));
    const auto end = Clock::now() + seconds(deadline_);
    MPI_Request request = MPI_REQUEST_NULL;
    const auto wait = [&] {
      for (int done = 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done; std::this_thread::sleep_for(std::chrono::microseconds(100)))
        if (Clock::now() > end) {
          beginning.release();                      // MPI may still write to it
          std::atexit([] {
            int ended = 0;
            MPI_Finalized(&ended);
            if (!ended) end_ranks(MPI_COMM_WORLD);
          });
          throw Error("rank ", rank_, " of ", size_, " cannot begin: not all ranks came to their lamina::Mpi within ", deadline_, " s; look at what the others do before it, or give it a longer deadline");
        }
    };
    MPI_Comm_idup(MPI_COMM_WORLD, &beginning->comm, &request);
    wait();
    MPI_Iallgather(&beginning->here, int(sizeof(ProcessPlace)), MPI_BYTE, beginning->places.data(), int(sizeof(ProcessPlace)), MPI_BYTE, beginning->comm, &request);
    wait();
    comm_ = beginning->comm;
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    return std::move(beginning->places);
  }

  // --- the operations
  /// f(q) for all others, those that follow this rank first: so not all begin with the same.
  template <class F> void for_others(const F& f) const {
    for (int k = 1; k < size_; ++k) f((rank_ + k) % size_);
  }
  void meet() {
    wanted_[std::size_t(rank_)] = now_;
    for_others([&](int q) { receive(&wanted_[std::size_t(q)], sizeof now_, q), send(&wanted_[std::size_t(rank_)], sizeof now_, q); });
    wait(false);
    for (int q = 1; q < size_; ++q)
      if (!(wanted_[std::size_t(q)] == wanted_[0])) fail(disagreement(0, wanted_[0], q, wanted_[std::size_t(q)]));
  }
  /// Each rank adds up its part of a round, and then sends the sum to all.
  template <class T> void all_reduce(T* x, Index n) {
    if (size_ == 1) return;
    T *const whole = reinterpret_cast<T*>(mine_.data()), *const parts = reinterpret_cast<T*>(theirs_.data());
    for (Index at = 0; at < n; at += Index(round / sizeof(T))) {
      const Index count = std::min(Index(round / sizeof(T)), n - at);
      const auto begin = [&](int q) { return part_begin(count, q, size_); };
      const auto bytes = [&](int q) { return std::size_t(begin(q + 1) - begin(q)) * sizeof(T); };
      const Index part = begin(rank_ + 1) - begin(rank_);
      std::memcpy(whole, x + at, std::size_t(count) * sizeof(T));
      for_others([&](int q) { receive(parts + q * part, bytes(rank_), q), send(whole + begin(q), bytes(q), q); });
      std::memcpy(parts + rank_ * part, whole + begin(rank_), bytes(rank_));
      wait(true);
      tree_sum<T>(size_, part, [&](int q) { return parts + q * part; });
      for_others([&](int q) { receive(whole + begin(q), bytes(q), q), send(parts, bytes(rank_), q); });
      std::memcpy(whole + begin(rank_), parts, bytes(rank_));
      wait(true);
      std::memcpy(x + at, whole, std::size_t(count) * sizeof(T));
    }
  }
  void broadcast(std::byte* x) {
    for (std::size_t at = 0; size_ > 1 && at < now_.bytes; at += round) {
      const std::size_t bytes = std::min(round, std::size_t(now_.bytes) - at);
      if (rank_ != now_.root) receive(mine_.data(), bytes, now_.root);
      else std::memcpy(mine_.data(), x + at, bytes), for_others([&](int q) { send(mine_.data(), bytes, q); });
      wait(true);
      if (rank_ != now_.root) std::memcpy(x + at, mine_.data(), bytes);
    }
  }
  void all_gather(const std::byte* x, std::byte* all) {
    const std::size_t most = round / std::size_t(size_);
    for (std::size_t at = 0; at < now_.bytes; at += most) {
      const std::size_t bytes = std::min(most, std::size_t(now_.bytes) - at);
      const auto place = [&](int q) { return all + std::size_t(q) * now_.bytes + at; };
      if (place(rank_) != x + at) std::memcpy(place(rank_), x + at, bytes);
      if (size_ == 1) continue;
      std::memcpy(mine_.data(), x + at, bytes);
      for_others([&](int q) { receive(theirs_.data() + std::size_t(q) * bytes, bytes, q), send(mine_.data(), bytes, q); });
      wait(true);
      for_others([&](int q) { std::memcpy(place(q), theirs_.data() + std::size_t(q) * bytes, bytes); });
    }
  }

  // --- messages
  void receive(void* to, std::size_t bytes, int from) {
    if (bytes > 0) check(MPI_Irecv(to, int(bytes), MPI_BYTE, from, part_tag, comm_, &next(from)));
  }
  void send(const void* from, std::size_t bytes, int to) {
    if (bytes > 0) check(MPI_Isend(from, int(bytes), MPI_BYTE, to, part_tag, comm_, &next(to)));
  }
  MPI_Request& next(int rank) { return partner_.push_back(rank), requests_.emplace_back(MPI_REQUEST_NULL); }

  /// Until all messages have come and gone. `together`: all ranks are in this operation, so it will not be long.
  void wait(bool together) {
    const auto end = Clock::now() + seconds(deadline_ - grace());
    Clock::time_point last;                       // once somebody is late
    bool late = false;
    for (int turn = 0;; ++turn) {
      int done = 0;
      check(MPI_Testall(int(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE));
      if (done && !late) return requests_.clear(), partner_.clear();
      listen();
      if (stopped_) fail(own_reason());
      if (turn % 16 == 0) {
        const auto now = Clock::now();
        for_others([&](int q) {
          if (!processes_.gone(q)) return;
          listen();                               // it may have said why
          fail(sentence({"rank ", q, " (process ", processes_.number(q), ") is gone"}));
        });
        if (!late && (now > end || anybody_late())) late = true, last = now + seconds(grace()), tell(Kind::late, "");
        if (late && now > last) fail(blame());
      }
      if (turn % 32 > 0) continue;                // messages move only while somebody asks for them
      if (together || turn < 1000) std::this_thread::yield();      // the core may be that of a thread that computes
      else std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
  bool anybody_late() const {
    for (const Heard& h : heard_)
      if (h.late) return true;
    return false;
  }
  /// Who has not sent what it should: those that were heard of meanwhile wait themselves.
  std::string blame() {
    std::vector<int> owing, silent;
    for (int q = 0; q < size_; ++q)
      for (std::size_t i = 0; i < requests_.size(); ++i) {
        int done = 1;
        if (partner_[i] == q && requests_[i] != MPI_REQUEST_NULL) check(MPI_Request_get_status(requests_[i], &done, MPI_STATUS_IGNORE));
        if (done) continue;
        owing.push_back(q);
        if (!heard_[std::size_t(q)].late) silent.push_back(q), heard_[std::size_t(q)].silent = true;
        break;
      }
    const std::vector<int>& blamed = silent.empty() ? owing : silent;
    if (blamed.empty()) return "others waited longer than the deadline";
    return words(blamed) + sentence({" did not come within ", deadline_, " s"});
  }

  /// Reads what other ranks have to say beside operations. Throws Error if one gave up.
  void listen() {
    for (;;) {
      int there = 0;
      MPI_Status status;
      check(MPI_Iprobe(MPI_ANY_SOURCE, notice_tag, comm_, &there, &status));
      if (!there) return;
      Notice n = {};
      check(MPI_Recv(&n, int(sizeof n), MPI_BYTE, status.MPI_SOURCE, notice_tag, comm_, MPI_STATUS_IGNORE));
      Heard& from = heard_[std::size_t(status.MPI_SOURCE)];
      if (n.kind == Kind::late) from.late = true;
      if (n.kind == Kind::farewell) from.farewell = true;
      if (n.kind == Kind::gave_up && failure_.empty()) fail(n.reason);
    }
  }
  /// Nobody waits for it to be read.
  void tell(Kind kind, std::string_view reason) {
    Notice& n = notices_[std::size_t(kind)];
    n = {kind, {}};
    reason.copy(n.reason, sizeof n.reason - 1);
    for_others([&](int q) {
      MPI_Request request = MPI_REQUEST_NULL;
      if (!processes_.gone(q) && MPI_Isend(&n, int(sizeof n), MPI_BYTE, q, notice_tag, comm_, &request) == MPI_SUCCESS) MPI_Request_free(&request);
    });
  }

  // --- failures
  void check(int code) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    if (failure_.empty()) fail(sentence({"MPI says: ", text}));
  }
  std::string own_reason() {
    const std::lock_guard lock(stopping_);
    return sentence({"rank ", rank_, " gave up, ", now_.number ? (inside_ ? "in " : "after ") + words(now_) : "before its first operation", ": ", reason_});
  }
  [[noreturn, gnu::cold]] void fail(const std::string& reason) {
    note_failure(reason);
    give_up(now_);
  }
  void note_failure(const std::string& reason) {
    failure_ = reason;
    if (last_words_) last_words_->say((now_.number ? (inside_ ? "in " : "after ") + words(now_) : "before its first operation") + ": " + reason);
    tell(Kind::gave_up, reason);
    if (!failed()) std::atexit([] { failed()->leave(); });
    failed() = this;
  }
  [[noreturn, gnu::cold]] void give_up(const Operation& o) const { throw Error("rank ", rank_, " of ", size_, " cannot go on with ", words(o), ": ", failure_); }
  static MpiRanks*& failed() {
    static MpiRanks* one = nullptr;
    return one;
  }
  /// The end of a process whose ranks failed. All have time to say what there is to say, and then whatever still runs is ended: a rank that is stopped would stay for ever.
  [[noreturn, gnu::cold]] void leave() noexcept {
    stopped_ = true;
    const std::lock_guard alone(calls_);
    if (last_words_) last_words_->be_silent();
    tell(Kind::farewell, "");
    for (const auto end = Clock::now() + seconds(deadline_ / 2); Clock::now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      listen();
      bool all = true;
      for_others([&](int q) { all = all && (heard_[std::size_t(q)].farewell || heard_[std::size_t(q)].silent || processes_.gone(q)); });
      if (all) break;
    }
    end_ranks(comm_);
  }
  [[noreturn, gnu::cold]] static void end_ranks(MPI_Comm comm) noexcept {
    std::fflush(nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));      // the launcher may throw away what it has not read when all is ended
    MPI_Abort(comm, 1);
    std::_Exit(1);
  }

  const double deadline_;                 // seconds
  const int exceptions_ = std::uncaught_exceptions();
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  bool ours_ = false;                     // MPI was begun here
  Processes processes_;
  std::unique_ptr<LastWords> last_words_;

  std::mutex stopping_;                   // over reason_
  std::atomic<bool> stopped_ = false;
  std::string reason_;                    // why this rank gave up

  std::mutex calls_;                      // over MPI and all that follows
  Operation now_;                         // or the last
  bool inside_ = false;
  std::string failure_;
  std::vector<Operation> wanted_;         // by each rank
  std::vector<Heard> heard_;              // of each rank
  std::vector<std::byte> mine_, theirs_;  // a round of a span, and parts of it from each rank
  std::vector<MPI_Request> requests_;
  std::vector<int> partner_;              // of each request
  Notice notices_[3];
};

class MpiTransport {
 public:
  explicit MpiTransport(const MpiOptions& options) : ranks_(std::make_unique<MpiRanks>(options)) {}
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;
  ~MpiTransport() {
    if (!ranks_->end()) ranks_.release();
  }
  int rank() const { return ranks_->rank(); }
  int size() const { return ranks_->size(); }
  void perform(const Request& work) { ranks_->perform(work); }
  void abort(std::string_view reason) noexcept { ranks_->abort(reason); }

 private:
  std::unique_ptr<MpiRanks> ranks_;
};

}  // namespace detail

/// This process's rank among those that were started together. Begins MPI unless the program has, and ends it. A rank that fails says so by an exception; when its process ends all other ranks
/// have ended too, or are told to. Make it in a try block, and let guarded() do the work: an exception that nobody catches ends the process where it is thrown, and the others learn only that it is
/// gone. If mpirun ends a rank from outside, since another is gone, it writes who and where to the standard error stream first.
class Mpi : public detail::Operations<detail::MpiTransport> {
 public:
  /// Waits for all ranks. Throws Error if they have not all come within the deadline; where Mpi begins MPI, which waits for them by itself, the process then ends instead, with exit code 1 and the reason
  /// on the standard error stream.
  explicit Mpi(const MpiOptions& options = {}) : Operations(std::in_place, options) {}
};
static_assert(Communicator<Mpi>);

}  // namespace lamina
