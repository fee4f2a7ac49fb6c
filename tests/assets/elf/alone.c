#ifdef __x86_64__
#define COVERED "16"
#else
#define COVERED "4"
#endif
#include "go.h"
int main(void) { for (;;) {} }
