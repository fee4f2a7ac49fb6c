int two(void);
int one(void) { return 1; }
int one_more(void) { return two(); }
