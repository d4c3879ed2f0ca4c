// Products with a matrix that is mostly zeros (binary pixels, one-hot samples): sums of rows of the other factor.
// A row of the result stays in registers while its terms are added, in the order of the matrix; one thread.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));  // wherever 16 floats lie
typedef float half __attribute__((vector_size(32), aligned(4), may_alias));
#ifdef __AVX512F__
constexpr int WIDEST = 13;  // vectors of sums that the registers hold
#else
constexpr int WIDEST = 6;
#endif

// The entries of a matrix [rows, columns] that are not zero (NaN is not), row by row.
struct Entries {
  std::vector<int32_t> start, index;
  std::vector<float> value;

  Entries(int64_t rows, int64_t room) : start(rows + 1), index(room + 16), value(room + 16) {}

  Entries(const at::Tensor& m) : Entries(m.size(0), m.numel()) {
    auto whole = m.stride(1) == 1 ? m : m.contiguous();
    const float* x = whole.data_ptr<float>();
    int64_t rows = m.size(0), columns = m.size(1);
    int32_t n = 0;
    for (int64_t r = 0; r < rows; r++, x += whole.stride(0)) {
      int64_t c = 0;
#ifdef __AVX512F__
      __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      for (; c + 16 <= columns; c += 16, at = _mm512_add_epi32(at, _mm512_set1_epi32(16))) {
        __m512 v = _mm512_loadu_ps(x + c);
        __mmask16 some = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        _mm512_storeu_si512(&index[n], _mm512_maskz_compress_epi32(some, at));
        _mm512_storeu_ps(&value[n], _mm512_maskz_compress_ps(some, v));
        n += __builtin_popcount(some);
      }
#endif
      for (; c < columns; c++) {
        index[n] = c;
        value[n] = x[c];
        n += x[c] != 0;
      }
      start[r + 1] = n;
    }
  }

  Entries transposed(int64_t columns) const {
    Entries t(columns, start.back());
    for (int32_t i = 0; i < start.back(); i++) t.start[index[i] + 1]++;
    for (int64_t c = 0; c < columns; c++) t.start[c + 1] += t.start[c];
    std::vector<int32_t> next(t.start);
    for (size_t r = 0; r + 1 < start.size(); r++)
      for (int32_t i = start[r]; i < start[r + 1]; i++) {
        int32_t to = next[index[i]]++;
        t.index[to] = r;
        t.value[to] = value[i];
      }
    return t;
  }
};

// out = bias + sum of value * source[index], in N vectors and, if HALF, 8 floats more
template <int N, bool HALF>
void block(const Entries& e, int64_t row, const float* source, int64_t width, const float* bias, float* out) {
  lanes sum[N + 1] = {};
  half last = {};
  if (bias) {
    for (int v = 0; v < N; v++) sum[v] = ((const lanes*)bias)[v];
    if (HALF) last = *(const half*)(bias + 16 * N);
  }
  for (int32_t i = e.start[row]; i < e.start[row + 1]; i++) {
    const float* s = source + e.index[i] * width;
    for (int v = 0; v < N; v++) sum[v] += e.value[i] * ((const lanes*)s)[v];
    if (HALF) last += e.value[i] * *(const half*)(s + 16 * N);
  }
  for (int v = 0; v < N; v++) ((lanes*)out)[v] = sum[v];
  if (HALF) *(half*)(out + 16 * N) = last;
}

using Block = decltype(&block<0, false>);
template <bool HALF, int... N>
Block choose(int n, std::integer_sequence<int, N...>) {
  static const Block all[] = {block<N, HALF>...};
  return all[n];
}

void sums(const Entries& e, int64_t rows, const float* source, int64_t width, const float* bias, float* out) {
  const auto sizes = std::make_integer_sequence<int, WIDEST + 1>();
  int64_t vectors = width / 16, parts = (vectors + WIDEST - 1) / WIDEST, c = 0;
  for (int64_t p = 0; p < std::max<int64_t>(parts, 1); p++) {
    int n = parts ? vectors * (p + 1) / parts - vectors * p / parts : 0;
    bool rest = p + 1 >= parts && width % 16 >= 8;
    Block add = rest ? choose<true>(n, sizes) : choose<false>(n, sizes);
    for (int64_t r = 0; r < rows; r++) add(e, r, source + c, width, bias ? bias + c : nullptr, out + r * width + c);
    c += 16 * n + 8 * rest;
  }
  for (; c < width; c++)
    for (int64_t r = 0; r < rows; r++) {
      float sum = bias ? bias[c] : 0;
      for (int32_t i = e.start[r]; i < e.start[r + 1]; i++) sum += e.value[i] * source[e.index[i] * width + c];
      out[r * width + c] = sum;
    }
}

// bias + x @ w for x [E, B, D], w [E, D, H], bias [E, 1, H]
at::Tensor rows(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& w) {
  auto b = bias.contiguous(), to = w.contiguous();
  int64_t E = x.size(0), B = x.size(1), D = x.size(2), H = w.size(2);
  auto out = at::empty({E, B, H}, w.options());
  for (int64_t e = 0; e < E; e++)
    sums(Entries(x[e]), B, to.data_ptr<float>() + e * D * H, H,
         b.data_ptr<float>() + e * H, out.data_ptr<float>() + e * B * H);
  return out;
}

// x^T @ g for x [E, B, D], g [E, B, H]
at::Tensor columns(const at::Tensor& x, const at::Tensor& g) {
  auto to = g.contiguous();
  int64_t E = x.size(0), B = x.size(1), D = x.size(2), H = g.size(2);
  auto out = at::empty({E, D, H}, g.options());
  for (int64_t e = 0; e < E; e++)
    sums(Entries(x[e]).transposed(D), D, to.data_ptr<float>() + e * B * H, H, nullptr,
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

// The numbers of noise.py: like [*S, E, *inner], keys [E], start [E], counted on from start over S and inner
at::Tensor uniform(const at::Tensor& like, const at::Tensor& keys, const at::Tensor& start, int64_t lead) {
  auto out = at::empty(like.sizes(), like.options());
  int64_t E = keys.size(0), samples = 1;
  for (int64_t i = 0; i < lead; i++) samples *= like.size(i);
  int64_t inner = like.numel() / std::max<int64_t>(samples * E, 1);
  float* to = out.data_ptr<float>();
  for (int64_t s = 0; s < samples; s++)
    for (int64_t e = 0; e < E; e++, to += inner) {
      uint64_t key = keys.data_ptr<int64_t>()[e], first = start.data_ptr<int64_t>()[e] + s * inner;
      for (int64_t i = 0; i < inner; i++) {
        uint64_t y = (first + i) * key, z = y + key, x = y * y + y;
        x = x << 32 | x >> 32;
        x = x * x + z;
        x = x << 32 | x >> 32;
        x = x * x + y;
        x = x << 32 | x >> 32;
        to[i] = ((float)(int32_t)((x * x + z) >> 41) + 0.5f) * 0x1p-23f;
      }
    }
  return out;
}

}  // namespace

TORCH_LIBRARY(gsbook, m) {
  m.def("rows(Tensor bias, Tensor x, Tensor w) -> Tensor");
  m.def("columns(Tensor x, Tensor g) -> Tensor");
  m.def("one_hot_max(Tensor x) -> Tensor");
  m.def("uniform(Tensor like, Tensor keys, Tensor start, int lead) -> Tensor");
}
TORCH_LIBRARY_IMPL(gsbook, CPU, m) {
  m.impl("rows", rows);
  m.impl("columns", columns);
  m.impl("one_hot_max", one_hot_max);
  m.impl("uniform", uniform);
}
