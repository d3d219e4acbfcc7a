# make install: program, libraries, header, pkg-config file, manual pages, completion, systemd unit, licence. The pkg-config
# file finds its prefix from its own place, so that a tree can be moved.
file(RELATIVE_PATH CXR_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/cxr.pc.in ${PROJECT_BINARY_DIR}/cxr.pc @ONLY)

install(TARGETS cxr RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS cxr_shared cxr_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models DESTINATION ${CMAKE_INSTALL_DATADIR}/cxr)
install(FILES ${PROJECT_SOURCE_DIR}/include/cxr/cxr.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cxr)
install(FILES ${PROJECT_BINARY_DIR}/cxr.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(FILES ${PROJECT_SOURCE_DIR}/contrib/completion/cxr.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME cxr)
# Where systemd looks beneath /usr and /usr/local alike, whatever the libraries' folder is called.
install(FILES ${PROJECT_SOURCE_DIR}/contrib/cxr.service DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
