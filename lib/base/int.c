#include "lib/base/int.h"

int64_t ts_floor_div(ts_i128 a, int64_t b)
{
    ts_i128 quotient = a / b;
    if (a % b < 0)
        quotient--;
    if (quotient > INT64_MAX)
        return INT64_MAX;
    return quotient < INT64_MIN ? INT64_MIN : (int64_t)quotient;
}

int64_t ts_sat_add(int64_t a, int64_t b)
{
    /* A sum at its bound means "at least this"; subtracting from it would make it wrong. */
    if (a == INT64_MAX || b == INT64_MAX)
        return INT64_MAX;
    if (a == INT64_MIN || b == INT64_MIN)
        return INT64_MIN;
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return a < 0 ? INT64_MIN : INT64_MAX;
}
