#include "iokernel/dataplane/packet_pool.h"

#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

namespace sluice {
namespace {

constexpr uint32_t kPerThreadCache = 256;

}  // namespace

rte_mempool* MakePacketPool(const std::string& name, uint32_t mbufs, uint16_t room, int node, bool within_pages) {
  const std::string shortened = name.substr(0, RTE_MEMPOOL_NAMESIZE - 8);
  // rte_pktmbuf_pool_create, step by step, for its flags cannot be chosen.
  rte_mempool* pool =
      rte_mempool_create_empty(shortened.c_str(), mbufs, sizeof(rte_mbuf) + room, kPerThreadCache,
                               sizeof(rte_pktmbuf_pool_private), node, within_pages ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return nullptr;
  rte_pktmbuf_pool_private settings{};
  settings.mbuf_data_room_size = room;
  if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr) == 0) {
    rte_pktmbuf_pool_init(pool, &settings);
    if (rte_mempool_populate_default(pool) > 0) {
      rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
      return pool;
    }
  }
  rte_mempool_free(pool);
  return nullptr;
}

}  // namespace sluice
