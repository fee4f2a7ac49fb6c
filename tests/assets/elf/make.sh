#!/bin/sh
# Makes the small ELF files beside it, again after a change: ./make.sh "python -m ziglang cc"
# One compiler for every machine, no libc, no start files: a few kilobytes each, and they are kept in git
# because unit tests start no program.
set -eu
cd "$(dirname "$0")"
compile() { # target, output, then the compiler's words
    target=$1 output=$2
    shift 2
    # shellcheck disable=SC2086 # the compiler may be several words
    $compiler -target "$target" -nostdlib -s -O1 -fno-stack-protector -fno-unwind-tables \
        -fno-asynchronous-unwind-tables -Wl,-z,max-page-size=4096 \
        -Wl,--build-id=none -o "$output" "$@"
}
compiler=${1:-cc}
amd64=x86_64-linux-gnu arm64=aarch64-linux-gnu
for arch in amd64 arm64; do
    eval "target=\$$arch"
    mkdir -p "$arch"
    case $arch in amd64) dir=/lib64 ld=ld-linux-x86-64.so.2 ;; arm64) dir=/lib ld=ld-linux-aarch64.so.1 ;; esac
    compile "$target" "$arch/libtwo.so" -shared -Wl,-soname,libtwo.so two.c
    compile "$target" "$arch/libone-old.so" -shared -Wl,-soname,libone.so.1 -Wl,--version-script,one-old.map one.c
    compile "$target" "$arch/libone.so" -shared -Wl,-soname,libone.so.1 -Wl,--version-script,one.map one.c "$arch/libtwo.so"
    compile "$target" "$arch/$ld" -shared -Wl,-soname,$ld "-DTRIPLE=\"$target\"" loader.c
    compile "$target" "$arch/dynamic" -Wl,-dynamic-linker,"$dir/$ld" -Wl,-e,main \
        -Wl,--allow-shlib-undefined main.c "$arch/libone.so"
    compile "$target" "$arch/static" -static -no-pie -Wl,-e,main alone.c
    compile "$target" "$arch/static-pie" -static -pie -Wl,-e,main alone.c
done
compile "$amd64" amd64/runpath -Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2 -Wl,-e,main \
    "-Wl,-rpath,\$ORIGIN/lib:/opt/lib" -Wl,--allow-shlib-undefined main.c amd64/libone.so
compile "$amd64" amd64/object.o -c alone.c
