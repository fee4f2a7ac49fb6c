#ifdef __x86_64__
#define COVERED "16"
#else
#define COVERED "24"
#endif
#include "go.h"
int one(void);
int one_more(void);
int main(void) { return one() + one_more(); }
