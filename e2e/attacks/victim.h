// What the neighbour offers, known to whoever attacks it.
#pragma once
#define VICTIM_SOCKET "zerocap-neighbour"
#define VICTIM_KEY 0x7a63
#define VICTIM_FOLDER "/shared"
#define VICTIM_PATH VICTIM_FOLDER "/socket"
#define VICTIM_DATAGRAMS VICTIM_FOLDER "/datagrams"
