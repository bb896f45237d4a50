# Headers, the CMake package and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_DATADIR}/cmake/lamina)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/laminaConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
configure_file(lamina.pc.in lamina.pc @ONLY)

install(DIRECTORY include/lamina DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS lamina EXPORT lamina INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT lamina NAMESPACE lamina:: FILE laminaTargets.cmake DESTINATION ${package_folder})
install(FILES cmake/laminaConfig.cmake cmake/LaminaDependencies.cmake cmake/LaminaPortable.cmake cmake/portable.cpp ${PROJECT_BINARY_DIR}/laminaConfigVersion.cmake DESTINATION ${package_folder})
install(FILES ${PROJECT_BINARY_DIR}/lamina.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
