// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/Escrow.sol";
import {TestToken} from "../../contracts/TestToken.sol";

/// @dev The cheat codes that these tests use; the npm package of forge-std is neither official nor current.
interface Vm {
    function warp(uint256) external;
    function chainId(uint256) external;
    function deal(address, uint256) external;
    function etch(address, bytes calldata) external;
    function prank(address) external;
    function addr(uint256) external pure returns (address);
    function sign(uint256, bytes32) external pure returns (uint8, bytes32, bytes32);
    function expectRevert(bytes4) external;
    function expectRevert(bytes calldata) external;
    function expectRevert() external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256) external returns (bool);
    function envOr(string calldata, uint256) external view returns (uint256);
    function toString(uint256) external pure returns (string memory);
}

/// @dev One buyer, one seller, one arbiter, and a way to bring an order to any status.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 internal constant START = 1_800_000_000;
    uint104 internal constant AMOUNT = 1_000_003;
    uint104 internal constant BUYER_DEPOSIT = 301;
    uint104 internal constant SELLER_DEPOSIT = 203;
    uint256 internal constant BUYER_KEY = 0xB;
    uint256 internal constant SELLER_KEY = 0x5E;
    uint256 internal constant ARBITER_KEY = 0xA;

    address internal buyer = vm.addr(BUYER_KEY);
    address internal seller = vm.addr(SELLER_KEY);
    address internal arbiter = vm.addr(ARBITER_KEY);
    address internal market = address(0xFEE);
    address internal stranger = address(0x57A);
    Escrow internal escrow;
    TestToken internal token;
    uint256 private salt;

    function setUp() public virtual {
        vm.warp(START);
        escrow = new Escrow();
        token = new TestToken();
        address[3] memory payers = [buyer, seller, stranger];
        for (uint256 i = 0; i < payers.length; i++) {
            vm.deal(payers[i], 1e24);
            token.mint(payers[i], 1e24);
            vm.prank(payers[i]);
            token.approve(address(escrow), type(uint256).max);
        }
    }

    /// With all features on; a test turns off what it does not want.
    function makeOrder(address currency) internal returns (Escrow.Order memory o) {
        o.buyer = buyer;
        o.seller = seller;
        o.arbiter = arbiter;
        o.token = currency;
        o.feeRecipient = market;
        o.amount = AMOUNT;
        o.buyerDeposit = BUYER_DEPOSIT;
        o.sellerDeposit = SELLER_DEPOSIT;
        o.acceptBy = uint40(block.timestamp + 1 days);
        o.dispatchWindow = 2 days;
        o.releaseWindow = 3 days;
        o.depositWindow = 4 days;
        o.rulingWindow = 5 days;
        o.feeBps = 250;
        o.arbiterFeeBps = 500;
        o.defaultSellerBps = 3_333;
        o.termsHash = keccak256(abi.encode(++salt));
    }

    function fund(Escrow.Order memory o) internal returns (bytes32 id) {
        uint256 due = uint256(o.amount) + o.buyerDeposit;
        vm.prank(o.buyer);
        return escrow.fund{value: o.token == address(0) ? due : 0}(o, "");
    }

    function accept(Escrow.Order memory o) internal {
        vm.prank(o.seller);
        escrow.accept{value: o.token == address(0) ? o.sellerDeposit : 0}(o, "");
    }

    function dispatch(Escrow.Order memory o) internal {
        vm.prank(o.seller);
        escrow.dispatch(o, "");
    }

    function release(Escrow.Order memory o, uint104 total) internal {
        vm.prank(o.buyer);
        escrow.release(o, total, "");
    }

    function refund(Escrow.Order memory o, uint104 total) internal {
        vm.prank(o.seller);
        escrow.refund(o, total, "");
    }

    function dispute(Escrow.Order memory o) internal {
        vm.prank(o.buyer);
        escrow.dispute(o, o.buyer, "");
    }

    function rule(Escrow.Order memory o, uint256 sellerTotal) internal {
        vm.prank(o.arbiter);
        escrow.rule(o, sellerTotal, "");
    }

    function settle(Escrow.Order memory o, uint256 sellerTotal) internal {
        bytes memory sellerSig = sign(SELLER_KEY, settleHash(o, sellerTotal));
        vm.prank(o.buyer);
        escrow.settle(o, sellerTotal, "", sellerSig);
    }

    function passDeadline(Escrow.Order memory o) internal {
        vm.warp(uint256(stateOf(o).deadline) + 1);
    }

    function timeout(Escrow.Order memory o) internal {
        passDeadline(o);
        escrow.timeout(o);
    }

    /// Brings a fresh order to a status by the shortest way.
    function reach(Escrow.Order memory o, Escrow.Status status) internal {
        if (status == Escrow.Status.None) return;
        fund(o);
        if (status == Escrow.Status.Funded) return;
        if (status == Escrow.Status.Refunded) return refund(o, o.amount);
        if (status == Escrow.Status.Settled) return settle(o, 0);
        accept(o);
        if (status == Escrow.Status.Accepted) return;
        dispatch(o);
        if (status == Escrow.Status.Dispatched) return;
        if (status == Escrow.Status.Holding || status == Escrow.Status.Released) {
            release(o, o.amount);
            if (status == Escrow.Status.Released) timeout(o);
            return;
        }
        dispute(o);
        if (status == Escrow.Status.Ruled) rule(o, 0);
        if (status == Escrow.Status.Defaulted) timeout(o);
    }

    function stateOf(Escrow.Order memory o) internal view returns (Escrow.State memory) {
        return escrow.state(escrow.orderId(o));
    }

    function balanceOf(address currency, address who) internal view returns (uint256) {
        return currency == address(0) ? who.balance : TestToken(currency).balanceOf(who);
    }

    // Typed data, written out a second time: the contract's own constants are not asked.

    function digest(bytes32 structHash) internal view returns (bytes32) {
        return digestAt(address(escrow), structHash);
    }

    function digestAt(address where, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Souk Escrow"),
                keccak256("1"),
                block.chainid,
                where
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function settleHash(Escrow.Order memory o, uint256 sellerTotal) internal view returns (bytes32) {
        bytes32 typeHash = keccak256("Settle(bytes32 id,uint256 sellerTotal)");
        return digest(keccak256(abi.encode(typeHash, escrow.orderId(o), sellerTotal)));
    }

    function sign(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function same(uint256 a, uint256 b, string memory what) internal pure {
        require(a == b, string.concat(what, ": ", vm.toString(a), " != ", vm.toString(b)));
    }

    function sameStatus(Escrow.Status a, Escrow.Status b) internal pure {
        same(uint256(a), uint256(b), "status");
    }
}
