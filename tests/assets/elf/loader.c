/* The folders a loader searches are text inside it; Debian's has these four. */
const char system_dirs[] =
    "/lib/" TRIPLE "/\0/usr/lib/" TRIPLE "/\0/lib/\0/usr/lib/";
