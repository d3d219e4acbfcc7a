# A thin front to CMake; the presets in CMakePresets.json do the work.
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

.PHONY: all check asan tsan manual install clean
all:
	cmake --preset release
	cmake --build build/release --parallel $(JOBS)

check:
	cmake --preset dev
	cmake --build build/dev --parallel $(JOBS)
	ctest --test-dir build/dev --output-on-failure

asan tsan:
	cmake --preset $@
	cmake --build build/$@ --parallel $(JOBS)
	ctest --test-dir build/$@ --output-on-failure

# Rewrites what is written from the option tables.
manual:
	cmake --preset dev
	cmake --build build/dev --parallel $(JOBS) --target cxr_describe
	tools/write_manual.sh build/dev/cxr_describe .

install: all
	cmake --install build/release --prefix "$(PREFIX)"

clean:
	rm -rf build
