int one(void);
int one_more(void);
int main(void) { return one() + one_more(); }
