#pragma once

/// Values of power.hpp's functions, for compilers without 113-bit ones: mpmath's with 1400 bits, rounded to double.
namespace adamcore::test {

/// `y` is only for pow.
struct PowerValue {
    double x, y, value;
};

constexpr PowerValue pow_values[] = {
    {0x1.999999999999ap-4, 0x1.0000000000000p-1, 0x1.43d136248490fp-2},
    {0x1.ccccccccccccdp-1, 0x1.f440000000000p+9, 0x1.e4af7aa00d59fp-153},
    {0x1.fae147ae147aep-1, 0x1.5555555555555p-2, 0x1.fe49a0fb2bf3ep-1},
    {0x1.ffffde7210be9p-1, 0x1.e240c9fbe76c9p+16, 0x1.c48944d44cf11p-1},
    {0x1.0000000000001p+0, 0x1.0000000000000p+58, 0x1.425982cf597a5p+92},
    {0x1.fffffffffffffp-1, -0x1.0000000000000p+60, 0x1.95e54c5dd424ap+184},
    {2.0, 0x1.0000000000000p-1, 0x1.6a09e667f3bcdp+0},
    {10.0, -0x1.999999999999ap-4, 0x1.96b230bcdc434p-1},
    {0x0.0000000000001p-1022, 0x1.0000000000000p-2, 0x1.6a09e667f3bcdp-269},
    {0x0.0000000000001p-1022, -0x1.ccccccccccccdp-1, 0x1.8406003b2aecdp+966},
    {0x1.fffffffffffffp+1023, 0x1.ff7ced916872bp-1, 0x1.f78d9576fb57dp+1022},
    {0x1.0000000000000p-1, 0x1.0190000000000p+10, 0x0.00d744fccad6ap-1022},
    {3.0, -0x1.455999999999ap+9, 0x0.00657829ff724p-1022},
    {7.0, 0x1.2c4cccccccccdp+8, 0x1.08c93802b8766p+843},
    {0x1.6a09e667f3bccp-1, 2000.0, 0x1.ffffffffff9c3p-1001},
    {0x1.6a09e667f3bcdp-1, -0x1.f406666666666p+10, 0x1.09071f3e9809cp+1000},
    {0x1.6a09e667f3bcdp+0, 0x1.000001ad7f29bp+0, 0x1.6a09e73a75fffp+0},
    {0x1.03ffffff920c8p+0, 0x1.63e7000000000p+15, 0x1.f7de05ab425f8p+1018},
    {0x1.edd2f1a9fbe77p+6, -0x1.f8f5c28f5c28fp+2, 0x1.224ec1169f129p-55},
    {0x1.56e1fc2f8f359p-997, 0x1.028f5c28f5c29p+0, 0x1.5f1ca8205119ep-1007},
};

constexpr PowerValue exp2_values[] = {
    {0x1.0000000000000p-1, 0.0, 0x1.6a09e667f3bcdp+0},
    {-0x1.0000000000000p-1, 0.0, 0x1.6a09e667f3bcdp-1},
    {0x1.5555555555555p-2, 0.0, 0x1.428a2f98d728bp+0},
    {0x1.b7cdfd9d7bdbbp-34, 0.0, 0x1.000000004c366p+0},
    {-0x1.56e1fc2f8f359p-997, 0.0, 1.0},
    {0x1.fffffcb923a2ap+9, 0.0, 0x1.fff6ea43bd988p+1023},
    {-0x1.ff40000000000p+9, 0.0, 0x0.b504f333f9de6p-1022},
    {-0x1.0c93333333333p+10, 0.0, 0x0.0000000000001p-1022},
    {-0x1.0906666666666p+10, 0.0, 0x0.0000000003bb7p-1022},
    {0x1.fffffffffffffp-2, 0.0, 0x1.6a09e667f3bccp+0},
    {-0x1.0000000000001p-1, 0.0, 0x1.6a09e667f3bccp-1},
    {0x1.9066666666666p+6, 0.0, 0x1.125fbee250651p+100},
    {-0x1.5e5999999999ap+9, 0.0, 0x1.3b2c47bff827ap-701},
};

constexpr PowerValue log2_values[] = {
    {3.0, 0.0, 0x1.95c01a39fbd68p+0},
    {10.0, 0.0, 0x1.a934f0979a371p+1},
    {0x1.999999999999ap-4, 0.0, -0x1.a934f0979a371p+1},
    {0x1.0000000000001p+0, 0.0, 0x1.71547652b82fdp-52},
    {0x1.fffffffffffffp-1, 0.0, -0x1.71547652b82fep-53},
    {0x1.000001ad7f29bp+0, 0.0, 0x1.35d0fea5fccb7p-23},
    {0x1.6a09e667f3bccp-1, 0.0, -0x1.0000000000001p-1},
    {0x1.6a09e667f3bcdp-1, 0.0, -0x1.ffffffffffffep-2},
    {0x1.6a09e667f3bcdp+0, 0.0, 0x1.0000000000001p-1},
    {0x0.0000000000003p-1022, 0.0, -0x1.0c1a8ff971811p+10},
    {0x0.02e055c9a3f6cp-1022, 0.0, -0x1.011e73337e924p+10},
    {0x1.fffffffffffffp+1023, 0.0, 1024.0},
    {0x1.03fffe5280d65p+0, 0.0, 0x1.6e78cfd5c668ap-6},
    {0x1.f8000055e63b9p-1, 0.0, -0x1.743ed8a55a906p-6},
};

constexpr PowerValue cospi_values[] = {
    {0x1.0000000000000p-2, 0.0, 0x1.6a09e667f3bcdp-1},   {0x1.5555555555555p-2, 0.0, 0x1.0000000000000p-1},
    {0x1.999999999999ap-4, 0.0, 0x1.e6f0e134454ffp-1},   {0x1.fffffffffffffp-2, 0.0, 0x1.921fb54442d18p-53},
    {0x1.0000000000001p-1, 0.0, -0x1.921fb54442d18p-52}, {0x1.8000000000000p-1, 0.0, -0x1.6a09e667f3bcdp-1},
    {0x1.7ffffffffffffp+0, 0.0, -0x1.921fb54442d18p-51}, {-0x1.4cccccccccccdp+1, 0.0, -0x1.3c6ef372fe954p-2},
    {0x1.f426666666666p+9, 0.0, 0x1.2cf2304755e6fp-1},   {0x1.d6f3454800000p+26, 0.0, -0x1.d906bcf328d46p-1},
    {0x1.0000000000001p+50, 0.0, 0x1.6a09e667f3bcdp-1},  {0x1.00000000004cdp+40, 0.0, 0x1.2ce1ebe2dafb7p-1},
    {0x1.4f8b588e368f1p-17, 0.0, 0x1.fffffffbc2d35p-1},  {-0x1.6666666666666p-1, 0.0, -0x1.2cf2304755a5dp-1},
};

}  // namespace adamcore::test
