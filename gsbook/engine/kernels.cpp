// Products with a matrix that is mostly zeros (binary pixels, one-hot samples) or has many rows of ones and zeros: sums
// of rows of the other factor.
// A row of the result stays in registers while its terms are added, in the order of the matrix; one thread.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16, WIDEST = 13;  // floats of a vector, and vectors of sums that the registers hold
#elif defined(__AVX__)
constexpr int LANES = 8, WIDEST = 12;
#else
constexpr int LANES = 4, WIDEST = 12;
#endif
// No wider than a register, or compilers keep the sums in memory.
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));  // wherever the floats lie
constexpr int CLOSE = 64 / LANES;  // vectors of each row that fit the first cache
constexpr int OFTEN = 64;          // uses that repay a copy there

// Where a matrix is not zero (NaN is not), row by row.
struct Entries {
  at::Tensor matrix;
  int64_t rows, columns, down, right;  // sizes, and the steps to the number below and to the one beside
  bool ones;                           // whether all that is not zero is 1
  std::vector<int32_t> start;
  std::unique_ptr<int32_t[]> index;

  Entries(const at::Tensor& m, int64_t rows, int64_t columns, int64_t down, int64_t right, int64_t room, bool ones)
      : matrix(m), rows(rows), columns(columns), down(down), right(right), ones(ones), start(rows + 2),
        index(new int32_t[room + 16]) {}

  Entries(const at::Tensor& m) : Entries(m, m.size(0), m.size(1), m.stride(0), 1, m.numel(), true) {
    const float* x = m.data_ptr<float>();
    int32_t n = 0;
    for (int64_t r = 0; r < rows; r++, x += down) {
      int64_t c = 0;
#ifdef __AVX512F__
      __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      for (; c + 16 <= columns; c += 16, at = _mm512_add_epi32(at, _mm512_set1_epi32(16))) {
        __m512 v = _mm512_loadu_ps(x + c);
        __mmask16 some = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        _mm512_storeu_si512(&index[n], _mm512_maskz_compress_epi32(some, at));
        n += __builtin_popcount(some);
        ones &= some == _mm512_cmp_ps_mask(v, _mm512_set1_ps(1), _CMP_EQ_OQ);
      }
#endif
      for (; c < columns; c++) {
        index[n] = c;
        n += x[c] != 0;
        ones &= x[c] == 0 || x[c] == 1;
      }
      start[r + 1] = n;
    }
  }

  Entries transposed() const {
    Entries t(matrix, columns, rows, right, down, start[rows], ones);  // start: one place on until rows are full
    for (int32_t i = 0; i < start[rows]; i++) t.start[index[i] + 2]++;
    for (int64_t c = 0; c < columns; c++) t.start[c + 2] += t.start[c + 1];
    for (int64_t r = 0; r < rows; r++)
      for (int32_t i = start[r]; i < start[r + 1]; i++) t.index[t.start[index[i] + 1]++] = r;
    return t;
  }
};

// out = bias + sum of value * source[index], in N vectors
template <int N, bool ONES>
void block(const Entries& e, int64_t row, const float* source, int64_t width, const float* bias, float* out) {
  const float* value = e.matrix.data_ptr<float>() + row * e.down;
  lanes sum[N] = {};
  for (int v = 0; bias && v < N; v++) sum[v] = ((const lanes*)bias)[v];
  for (int32_t i = e.start[row]; i < e.start[row + 1]; i++) {
    const lanes* s = (const lanes*)(source + e.index[i] * width);
    for (int v = 0; v < N; v++) sum[v] += ONES ? s[v] : value[e.index[i] * e.right] * s[v];
  }
  for (int v = 0; v < N; v++) ((lanes*)out)[v] = sum[v];
}

template <bool ONES, int... N>
auto choose(int n, std::integer_sequence<int, N...>) {
  static const decltype(&block<1, false>) all[] = {block<N + 1, ONES>...};
  return all[n - 1];
}

// All rows of the result, part by part of their width; the last part may overlap the one before, with equal sums.
void sums(const Entries& e, const float* source, int64_t width, const float* bias, float* out) {
  const auto sizes = std::make_integer_sequence<int, WIDEST>();
  const bool often = e.start[e.rows] > OFTEN * e.columns;
  TORCH_CHECK(width >= 16, "rows of at least 16 numbers are added, got ", width);
  int64_t vectors = (width + LANES - 1) / LANES, most = std::min<int64_t>(often ? CLOSE : WIDEST, width / LANES);
  int64_t parts = (vectors + most - 1) / most;
  auto near = at::empty({often ? LANES * CLOSE * e.columns : 0}, at::kFloat);
  for (int64_t p = 0; p < parts; p++) {
    int64_t first = vectors * p / parts, n = vectors * (p + 1) / parts - first;
    int64_t c = std::min(LANES * first, width - LANES * n);
    const float* from = often ? near.data_ptr<float>() : source + c;
    for (int64_t d = 0; often && d < e.columns; d++)
      std::copy_n(source + d * width + c, LANES * n, near.data_ptr<float>() + LANES * n * d);
    auto add = e.ones ? choose<true>(n, sizes) : choose<false>(n, sizes);
    for (int64_t r = 0; r < e.rows; r++)
      add(e, r, from, often ? LANES * n : width, bias ? bias + c : nullptr, out + r * width + c);
  }
}

at::Tensor whole(const at::Tensor& m) { return m.stride(1) == 1 ? m : m.contiguous(); }

// bias + x @ w for x [E, B, D], w [E, D, H], bias [E, 1, H], H >= 16
at::Tensor rows(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& w) {
  auto b = bias.contiguous(), to = w.contiguous();
  int64_t E = x.size(0), B = x.size(1), D = x.size(2), H = w.size(2);
  auto out = at::empty({E, B, H}, w.options());
  for (int64_t e = 0; e < E; e++)
    sums(Entries(whole(x[e])), to.data_ptr<float>() + e * D * H, H, b.data_ptr<float>() + e * H,
         out.data_ptr<float>() + e * B * H);
  return out;
}

// x^T @ g for x [E, B, D], g [E, B, H], H >= 16
at::Tensor columns(const at::Tensor& x, const at::Tensor& g) {
  auto to = g.contiguous();
  int64_t E = x.size(0), B = x.size(1), D = x.size(2), H = g.size(2);
  auto out = at::empty({E, D, H}, g.options());
  for (int64_t e = 0; e < E; e++)
    sums(Entries(whole(x[e])).transposed(), to.data_ptr<float>() + e * B * H, H, nullptr,
         out.data_ptr<float>() + e * D * H);
  return out;
}

// 1 where a row of x [..., K] has its first maximum (or its first NaN), else 0
at::Tensor one_hot_max(const at::Tensor& x) {
  auto from = x.contiguous(), out = at::zeros_like(from);
  int64_t K = x.size(-1), n = x.numel();
  const float* v = from.data_ptr<float>();
  float* to = out.data_ptr<float>();
  for (int64_t r = 0; r < n; r += K) {
    int64_t best = 0;
#ifdef __AVX512F__
    if (K <= 16) {
      __m512 row = _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), (1 << K) - 1, v + r);
      unsigned nan = _mm512_cmp_ps_mask(row, row, _CMP_UNORD_Q);
      __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(row));
      to[r + __builtin_ctz(nan ? nan : _mm512_cmp_ps_mask(row, top, _CMP_EQ_OQ))] = 1;
      continue;
    }
#endif
    for (int64_t k = 1; k < K && v[r + best] == v[r + best]; k++)
      if (!(v[r + k] <= v[r + best])) best = k;
    to[r + best] = 1;
  }
  return out;
}

}  // namespace

TORCH_LIBRARY(gsbook, m) {
  m.def("rows(Tensor bias, Tensor x, Tensor w) -> Tensor");
  m.def("columns(Tensor x, Tensor g) -> Tensor");
  m.def("one_hot_max(Tensor x) -> Tensor");
}
TORCH_LIBRARY_IMPL(gsbook, CPU, m) {
  m.impl("rows", rows);
  m.impl("columns", columns);
  m.impl("one_hot_max", one_hot_max);
}
