/// An object whose additions an old processor cannot run, since it is compiled for AVX: for check_vectors.py to find.
namespace adamcore::cpu {

void add(float* sums, const float* terms) {
    for (int i = 0; i < 4; ++i) sums[i] += terms[i];
}

}  // namespace adamcore::cpu
