# SVG is read back with expat, which cairo's own development package brings along.
pkg_check_modules(EXPAT REQUIRED IMPORTED_TARGET expat)
target_link_libraries(test_plot PRIVATE PkgConfig::EXPAT PkgConfig::CAIRO)
