// echo.cc - a UDP echo server, the smallest program on libruntime: echo [--sluice-run-dir DIR]
#include <sluice/sluice.h>

#include <iostream>

int main(int argc, char** argv) {
  return sluice::Run(sluice::RunConfig::FromArgs(argc, argv), [] {
    auto socket = sluice::UdpSocket::Bind({.port = 7});
    if (!socket) {
      std::cerr << "echo: " << sluice::ToString(socket.error()) << '\n';
      return 1;
    }
    const sluice::Error end = socket->Serve(
        [&socket](const sluice::Datagram& request) { socket->SendTo(request.payload(), request.source()); });
    std::cerr << "echo: " << sluice::ToString(end) << '\n';
    return 1;
  });
}
