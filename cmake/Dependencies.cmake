# Every library the program stands on; docs/DEPENDENCIES.md says why each is here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(dnnl 2.6 CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg libjpeg)
pkg_check_modules(SPNG REQUIRED IMPORTED_TARGET spng)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(EXIF REQUIRED IMPORTED_TARGET libexif)
pkg_check_modules(LAPACKE REQUIRED IMPORTED_TARGET lapacke)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
find_library(CSV_LIBRARY csv REQUIRED)
# oneDNN's threads are GNU OpenMP's: cxr sets the team's size there, whichever compiler builds cxr.
find_library(GOMP_LIBRARY NAMES gomp libgomp.so.1 REQUIRED PATHS /usr/lib/gcc/x86_64-linux-gnu/12 /usr/lib/x86_64-linux-gnu)

set(CXR_LIBRARIES DNNL::dnnl PkgConfig::TURBOJPEG PkgConfig::SPNG PkgConfig::JANSSON PkgConfig::CAIRO PkgConfig::LIBZIP
  PkgConfig::EXIF PkgConfig::ISAL PkgConfig::LAPACKE PkgConfig::SECCOMP PkgConfig::MICROHTTPD PkgConfig::TOMLPLUSPLUS CURL::libcurl
  OpenSSL::Crypto ZLIB::ZLIB ${CSV_LIBRARY} ${GOMP_LIBRARY} stdc++ Threads::Threads m)
